// A small Bayeux client for browsers. It connects over WebSocket, or by
// long-polling where no WebSocket gets through, stays connected until stop(),
// and subscribes again by itself when the server has forgotten its session.
//
//   const bayeux = new Bayeux("/cometd");
//   bayeux.subscribe("/chat/lobby", message => console.log(message.data));
//   bayeux.start();
//   await bayeux.publish("/chat/lobby", "hello");           // until the server has taken it
//   const answer = await bayeux.call("/service/echo", 42);  // request and answer
//   bayeux.addEventListener("change", () => console.log(bayeux.state, bayeux.transport));
//
// Events: "change" when state or transport changed; "session" when the server
// made a new session and has to be told again whatever the old one knew;
// "wire" for each payload sent or received, to look at.
//
// How it works: #run is the life of the client in one loop. It opens a link (a
// socket, or a poller), makes a session if there is none, and sends one
// /meta/connect after the other. Whatever goes wrong breaks the link, which
// fails all requests on it, so that the loop begins again: with the same
// session, if the server still has it.

const ANSWER_TIME = 10_000;     // an answer later than this: the network is broken
const FIRST_PAUSE = 300;        // between two attempts to connect; it doubles, up to
const LONGEST_PAUSE = 15_000;
const WEBSOCKET_AGAIN = 20_000; // from falling back until a WebSocket is tried again

export class Bayeux extends EventTarget {
  state = "stopped"; // or connecting, connected, waiting (for the next attempt), refused (for good)
  transport = "";    // of the current link: websocket or long-polling
  wakesAt = 0;       // while waiting: when the next attempt is made
  reason = "";       // why it is not connected

  #url;
  #types;                     // wanted transports, best first
  #offered = ["websocket"];   // the server's, as its last handshake said
  #link = null;
  #opened = null;             // a socket that opened beside the current link, to be the next
  #session = "";              // the clientId
  #advice = {};
  #lastID = 0;
  #requests = new Map();      // id → what waits for the reply
  #subscriptions = new Map(); // channel → set of functions
  #told = new Set();          // channels that the session is subscribed to
  #whenConnected = [];        // functions to call then
  #failures = 0;              // in a row
  #wake = () => {};           // ends the pause between two attempts
  #wanted = false;            // by start, until stop or a refusal for good
  #loop = Promise.resolve();  // the last one begun; the next waits for its end

  constructor(url, types = ["websocket", "long-polling"]) {
    super();
    this.#url = new URL(url, location.href);
    this.#types = types;
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
  }

  get url() {
    return this.#url.href;
  }

  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#loop = this.#loop.then(() => this.#wanted && this.#run());
  }

  // stop says goodbye, so that nobody has to wait until the session expires. It
  // may be called while the page is being closed.
  stop() {
    this.#wanted = false;
    if (this.#link && this.#session) this.#link.farewell(this.#numbered({ channel: "/meta/disconnect" }));
    this.#session = "";
    this.#set("stopped", "");
    this.#break(new Error("stopped"));
    this.#wake();
  }

  // use changes the transports, best first. The session moves there at once.
  use(types) {
    this.#types = types;
    if (this.transport !== types[0]) this.#break(passing("changing transport"));
    this.#wake();
  }

  // subscribe calls f with each message on the channel, until the function that
  // it returns is called. What the server refuses is said on the console.
  subscribe(channel, f) {
    const functions = this.#subscriptions.get(channel) ?? new Set();
    this.#subscriptions.set(channel, functions.add(f));
    queueMicrotask(() => this.#tell());
    return () => {
      functions.delete(f);
      if (functions.size === 0 && this.#subscriptions.get(channel) === functions) this.#subscriptions.delete(channel);
      queueMicrotask(() => this.#tell());
    };
  }

  // publish waits for a connection and resolves when the server has taken the
  // message. It rejects with an error whose refused is true if the server said
  // no; otherwise the connection broke first, and the server may have it or not.
  async publish(channel, data) {
    await this.#connection();
    await this.#send({ channel, data });
  }

  // call resolves with what the server's service answered.
  async call(channel, data) {
    await this.#connection();
    return (await this.#send({ channel, data }, { wantsData: true })).data;
  }

  // ---- the life of a client

  async #run() {
    this.#set("connecting", "");
    while (this.state !== "stopped") {
      try {
        this.#link = await this.#open();
        if (this.state === "stopped") break;
        if (!this.#session) await this.#handshake();
        await this.#stayConnected();
      } catch (error) {
        this.#break(error);
        if (this.state === "stopped") return;
        if (error.final) {
          this.#wanted = false;
          return this.#set("refused", "", error.message);
        }
        await this.#pause(error);
      }
    }
    this.#link?.close();
  }

  // open returns a link of the best transport that works.
  async #open() {
    const opened = this.#opened;
    this.#opened = null;
    if (opened?.isOpen) return opened;
    const [best, next] = this.#types.filter(t => t !== "websocket" || this.#offered.includes(t));
    if (best !== "websocket") return new Poller(this.#url, this.#heard);
    try {
      return await Socket.open(this.#url, this.#heard);
    } catch (error) {
      if (!next) throw error;
      const poller = new Poller(this.#url, this.#heard);
      setTimeout(() => this.#lookForBetter(poller), WEBSOCKET_AGAIN);
      return poller;
    }
  }

  // lookForBetter moves from the poller to a WebSocket as soon as one opens.
  async #lookForBetter(poller) {
    const stillNeeded = () => this.#link === poller && this.#types[0] === "websocket" && this.#offered.includes("websocket");
    if (!stillNeeded()) return;
    const socket = await Socket.open(this.#url, this.#heard).catch(() => null);
    if (!stillNeeded()) return socket?.close();
    if (!socket) return setTimeout(() => this.#lookForBetter(poller), WEBSOCKET_AGAIN);
    this.#opened = socket;
    this.#break(passing("changing transport"));
  }

  async #handshake() {
    const reply = await this.#send({
      channel: "/meta/handshake", version: "1.0", minimumVersion: "1.0", supportedConnectionTypes: this.#types,
    });
    this.#offered = reply.supportedConnectionTypes;
    if (!this.#offered.includes(this.#link.type)) throw final(`the server offers only ${this.#offered.join(", ")}`);
    this.#session = reply.clientId;
    this.#advice = reply.advice ?? {};
    this.#told.clear();
    this.dispatchEvent(new Event("session"));
  }

  // stayConnected sends one connect after the other, for as long as they are
  // answered well. The first is answered at once and tells that all is well,
  // the server holds the others.
  async #stayConnected() {
    const { type } = this.#link;
    this.#tell();
    for (let advice = { timeout: 0 }; ; advice = undefined) {
      const held = advice ? 0 : this.#advice.timeout ?? 60_000;
      const reply = await this.#send({ channel: "/meta/connect", connectionType: type, advice }, { time: held + ANSWER_TIME });
      this.#advice = reply.advice ?? this.#advice;
      if (this.#advice.reconnect === "none") throw final("the server ended the session");
      this.#failures = 0;
      this.#set("connected", type);
      this.#whenConnected.splice(0).forEach(f => f());
      if (this.#advice.interval > 0) await this.#sleep(this.#advice.interval);
    }
  }

  // pause waits before the next attempt, longer with each failure, and at least
  // as long as the server asks for. After a passing failure there is no reason
  // to wait, unless it happens again at once.
  async #pause(error) {
    const soon = error.passing && this.#failures === 0 ? 0 : FIRST_PAUSE * 2 ** this.#failures;
    const ms = Math.max(Math.min(LONGEST_PAUSE, soon) * (0.5 + Math.random() / 2), error.interval ?? 0);
    this.#failures++;
    if (ms === 0) return this.#set("connecting", "");
    this.wakesAt = Date.now() + ms;
    this.#set("waiting", "", error.message);
    await this.#sleep(ms);
    if (this.state === "waiting") this.#set("connecting", "", error.message);
  }

  #sleep(ms) {
    return new Promise(resolve => {
      setTimeout(resolve, ms);
      this.#wake = resolve;
    });
  }

  // break closes the link and fails all that waits for an answer on it: always
  // a handshake or a connect, so that the loop goes on from there.
  #break(error) {
    this.#link?.close();
    this.#link = null;
    const failed = [...this.#requests.values()];
    this.#requests.clear();
    failed.forEach(request => request.fail(error));
  }

  // ---- messages

  // send resolves with the reply to a message: for a call the one with data.
  #send(message, { time = ANSWER_TIME, wantsData = false } = {}) {
    if (!this.#link) return Promise.reject(new Error("not connected"));
    const [numbered] = this.#numbered(message);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#break(new Error("the server does not answer")), time);
      const end = settle => value => { clearTimeout(timer); settle(value); };
      this.#requests.set(numbered.id, { wantsData, succeed: end(resolve), fail: end(reject) });
      this.#link.send(numbered);
    });
  }

  #numbered(message) {
    return [{ id: String(++this.#lastID), clientId: this.#session || undefined, ...message }];
  }

  // heard is what a link tells: messages that came, messages that went, or that
  // it broke.
  #heard = {
    received: (link, messages) => {
      this.dispatchEvent(new CustomEvent("wire", { detail: { from: "server", messages } }));
      for (const message of messages) this.#receive(link, message);
    },
    sent: (link, messages) => this.dispatchEvent(new CustomEvent("wire", { detail: { from: "client", messages } })),
    broken: (link, error) => { if (link === this.#link) this.#break(error); },
  };

  #receive(link, message) {
    const request = message.successful === undefined ? undefined : this.#requests.get(message.id);
    if (request) this.#reply(request, message);
    else if (message.channel === "/meta/disconnect" && link === this.#link) this.#break(final("the server ended the session"));
    else if ("data" in message) this.#deliver(message);
  }

  #reply(request, message) {
    if (request.wantsData && message.successful && !("data" in message)) return; // taken: the answer is to come
    if (isUnknownSession(message)) return this.#forgotten(message);
    this.#requests.delete(message.id);
    if (message.successful) return request.succeed(message);
    const { error = "refused", advice, data } = message;
    const about = { refused: true, data, final: advice?.reconnect === "none", interval: advice?.interval };
    request.fail(Object.assign(new Error(error), about));
  }

  // forgotten begins again with a new session: the server has none of ours.
  #forgotten({ error, advice }) {
    this.#session = "";
    this.#break(Object.assign(passing(error), { interval: advice?.interval }));
  }

  // deliver hands a message over; a function that fails takes nothing from the
  // others, nor from the messages behind.
  #deliver(message) {
    for (const [pattern, functions] of this.#subscriptions) {
      if (!covers(pattern, message.channel)) continue;
      functions.forEach(f => { try { f(message); } catch (error) { reportError(error); } });
    }
  }

  // tell subscribes the session to what is wanted and it is not told yet, and
  // unsubscribes it from what is not wanted any more.
  #tell() {
    if (!this.#link || !this.#session) return;
    const wanted = [...this.#subscriptions.keys()].filter(c => !this.#told.has(c));
    const unwanted = [...this.#told].filter(c => !this.#subscriptions.has(c));
    for (const c of wanted) this.#told.add(c);
    for (const c of unwanted) this.#told.delete(c);
    const failed = error => {
      if (error.refused) console.warn(`subscribe ${wanted.join(" ")}: ${error.message}`);
      else for (const c of wanted) this.#told.delete(c); // not known: ask again once connected
    };
    if (wanted.length > 0) this.#send({ channel: "/meta/subscribe", subscription: wanted }).catch(failed);
    if (unwanted.length > 0) this.#send({ channel: "/meta/unsubscribe", subscription: unwanted }).catch(() => {});
  }

  #connection() {
    if (this.state === "connected") return;
    return new Promise(resolve => this.#whenConnected.push(resolve));
  }

  #set(state, transport, reason = "") {
    if (state === this.state && transport === this.transport && state !== "waiting") return;
    Object.assign(this, { state, transport, reason });
    this.dispatchEvent(new Event("change"));
  }
}

const final = text => Object.assign(new Error(text), { final: true });
const passing = text => Object.assign(new Error(text), { passing: true });

function isUnknownSession({ channel, successful, error, advice }) {
  if (successful || channel === "/meta/handshake") return false;
  return advice ? advice.reconnect === "handshake" : /^402:/.test(error);
}

// covers tells whether a subscription, perhaps with * or **, is for a channel.
function covers(pattern, channel) {
  if (pattern.endsWith("/**")) return channel.startsWith(pattern.slice(0, -2));
  if (pattern.endsWith("/*")) return channel.startsWith(pattern.slice(0, -1)) && !channel.includes("/", pattern.length - 1);
  return pattern === channel;
}

// A Socket is a link that carries messages both ways, at any time.
class Socket {
  type = "websocket";
  #socket;
  #heard;

  // open resolves with a link once it is open, and rejects if it cannot be.
  static open(url, heard) {
    const link = new Socket();
    const socket = new WebSocket(String(url).replace(/^http/, "ws"));
    link.#socket = socket;
    link.#heard = heard;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => socket.close(), ANSWER_TIME);
      socket.onopen = () => { clearTimeout(late); resolve(link); };
      socket.onmessage = ({ data }) => heard.received(link, JSON.parse(data));
      socket.onclose = ({ reason }) => {
        const error = new Error(reason || "no connection");
        reject(error); // does nothing if it was open
        heard.broken(link, error);
      };
    });
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  // send has a message lost that comes while the socket closes: whoever waits for
  // the answer is told when it has closed.
  send(message) {
    if (!this.isOpen) return;
    this.#socket.send(JSON.stringify([message]));
    this.#heard.sent(this, [message]);
  }

  farewell(messages) {
    if (this.isOpen) this.#socket.send(JSON.stringify(messages));
  }

  close() {
    this.#socket.onclose = null;
    this.#socket.close();
  }
}

// A Poller is a link of HTTP requests: one that the server holds until it has
// something to say (the connect), and beside it one at a time for all else.
class Poller {
  type = "long-polling";
  #url;
  #heard;
  #queue = [];
  #isSending = false;
  #closing = new AbortController();

  constructor(url, heard) {
    this.#url = url;
    this.#heard = heard;
  }

  send(message) {
    if (message.channel === "/meta/connect") this.#post([message]);
    else if (this.#queue.push(message) === 1 && !this.#isSending) this.#sendQueue();
  }

  async #sendQueue() {
    this.#isSending = true;
    await null; // what is sent in one turn goes in one request
    while (this.#queue.length > 0) await this.#post(this.#queue.splice(0));
    this.#isSending = false;
  }

  async #post(messages) {
    try {
      this.#heard.sent(this, messages);
      const response = await this.#fetch(messages, { signal: this.#closing.signal });
      if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
      this.#heard.received(this, await response.json());
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#heard.broken(this, error);
    }
  }

  #fetch(messages, options) {
    const headers = { "Content-Type": "application/json" };
    return fetch(this.#url, { method: "POST", headers, body: JSON.stringify(messages), cache: "no-store", ...options });
  }

  farewell(messages) {
    this.#fetch(messages, { keepalive: true }).catch(() => {});
  }

  close() {
    this.#closing.abort();
  }
}
