//! An axum-cometd server at / on the host and port given, long-polling only.
use axum::Server;
use axum_cometd::{LongPollingServiceContextBuilder, RouterBuilder};
use std::net::SocketAddr;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let addr: SocketAddr = format!("{}:{}", args[0], args[1]).parse().expect("an IP address and a port");
    let context = LongPollingServiceContextBuilder::new().build::<(), ()>();
    let server = Server::bind(&addr).serve(RouterBuilder::new().build(context).into_make_service());
    println!("listening on http://{}", addr);
    server.await.expect("a working listener");
}
