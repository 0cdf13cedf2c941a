//! Driver: cometd-client. One JSON object per line: commands on stdin, answers
//! and messages on stdout. The crate neither publishes nor unsubscribes, and
//! says nothing about a handshake or a subscription that succeeded, so connect
//! and subscribe are answered when they have been asked for.
use cometd_client::{types::CometdClientEvent, CometdClient, CometdClientBuilder};
use serde_json::{json, Value};
use std::time::Duration;
use tokio::io::{stdin, AsyncBufReadExt, BufReader};
use tokio::task::JoinHandle;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // A base with its slash: the crate joins the message types to it.
    let url = format!("{}/", std::env::args().nth(1).expect("a URL")).parse().expect("a URL");
    let mut session: Option<(CometdClient<Value>, JoinHandle<()>)> = None;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.expect("a readable stdin") {
        let command: Value = serde_json::from_str(&line).expect("a command in JSON");
        match command["op"].as_str() {
            Some("connect") => {
                let client = CometdClientBuilder::new(&url)
                    .request_timeout(Duration::from_secs(40))
                    .build::<Value>()
                    .expect("a client");
                let reports = tokio::spawn(report(client.rx()));
                session = Some((client, reports));
            }
            Some("subscribe") => {
                let (client, _) = session.as_ref().expect("a session");
                client.subscribe(&[&command["channel"]]).await;
            }
            // A client that is dropped disconnects, and ends its events when it has.
            Some("disconnect") => {
                let (client, reports) = session.take().expect("a session");
                drop(client);
                reports.await.expect("the end of the events");
            }
            other => panic!("unknown command {other:?}"),
        }
        println!("{}", json!({"id": command["id"]}));
    }
}

/// Reports every message, and every error, until the client has ended.
async fn report(mut events: cometd_client::types::CometdEventReceiver<Value>) {
    while let Some(event) = events.recv().await {
        match event {
            CometdClientEvent::Message(messages) => {
                for message in messages.iter() {
                    println!("{}", json!({"channel": message.channel, "data": message.message}));
                }
            }
            CometdClientEvent::Error(error) => println!("{}", json!({"error": format!("{error:?}")})),
        }
    }
}
