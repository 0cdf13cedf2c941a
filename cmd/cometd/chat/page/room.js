// A room of the chat: what is said in it, and who is there.

export const clone = id => document.getElementById(id).content.firstElementChild.cloneNode(true);
export const randomID = () => Array.from(crypto.getRandomValues(new Uint8Array(10)), b => b.toString(36).padStart(2, "0")).join("");

const KEPT = 500;             // messages on the page
const LONGEST = 20_000;       // characters of one that are shown
const TOGETHER = 5 * 60_000;  // messages of one person this close are one group
const SETTLED = 1500;         // who is gone for less did not leave

// A Room is its messages, as an element to show, and who is there.
//
// Its owner says with isShown whether it is the one on the screen, and is told
// by changed() that unread, people, total or atEnd may have changed.
export class Room {
  log = document.createElement("ol");
  isShown = false;
  unread = 0;
  people = [];      // the first of them
  total = 1;        // how many in all
  isIn = false;     // the server knows that we are here
  atEnd = true;     // the last message is in sight, and stays so
  #known = null;    // people as last announced in the log
  #quietUntil = 0;  // coming back, nobody is news
  #settling = 0;
  #waiting = [];    // messages that came before the history
  #byID = new Map();
  #last = {};       // the last message: whose and when, or nothing after a note
  #bayeux;
  #me;
  #changed;
  #stops;

  constructor(name, bayeux, me, changed) {
    this.name = name;
    this.#bayeux = bayeux;
    this.#me = me;
    this.#changed = changed;
    Object.assign(this.log, { className: "log", hidden: true, tabIndex: 0, role: "log", ariaLabel: `Messages in ${name}` });
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.log);
    this.#stops = [
      bayeux.subscribe(this.channel, m => this.#waiting ? this.#waiting.push(m.data) : this.#hear(m.data, Date.now())),
      bayeux.subscribe(`/presence/${name}`, m => this.#here(m.data)),
    ];
    this.#welcome();
  }

  show(isShown) {
    this.isShown = isShown;
    this.log.hidden = !isShown;
    if (isShown) this.toEnd();
  }

  get channel() {
    return `/chat/${this.name}`;
  }

  // enter tells the server that we are here, under which name, and fills in
  // what was said while we were not.
  async enter() {
    const wasIn = this.isIn;
    if (!wasIn && this.#known) this.#quietUntil = Date.now() + 5000;
    try {
      const { history } = await this.#bayeux.call("/service/chat", { room: this.name, ...this.#me });
      this.isIn = true;
      if (!wasIn) this.#catchUp(history);
    } catch (error) {
      if (!error.refused) return; // the connection broke: with the next one, again
      this.note(`This room says no: ${reason(error)}`);
      this.#catchUp([]);
    }
  }

  leave() {
    this.#stops.forEach(stop => stop());
    this.log.remove();
  }

  async say(text) {
    const data = { id: randomID(), from: this.#me.id, name: this.#me.name, text };
    const item = this.#show(data, Date.now());
    item.classList.add("sending");
    this.toEnd();
    for (;;) {
      try {
        await this.#bayeux.publish(this.channel, data);
        return item.classList.remove("sending");
      } catch (error) {
        if (error.refused) return fail(item, error);
        // Lost on the way, perhaps. Send again: all pages know it by its id.
      }
    }
  }

  #hear(data, at) {
    const id = data?.id;
    if (id && this.#byID.has(id)) return this.#byID.get(id).classList.remove("sending");
    const isRead = this.isShown && !document.hidden && this.atEnd;
    if (!isRead && this.unread++ === 0) this.note("New", "new");
    this.#show(data, at);
    this.#changed();
  }

  // catchUp shows what of the history is not shown yet. Messages without an id
  // count as often as they were said.
  #catchUp(history) {
    const key = data => data?.id ?? JSON.stringify(data);
    const seen = new Map();
    for (const { message } of this.log.children) {
      if (message) seen.set(key(message.data), (seen.get(key(message.data)) ?? 0) + 1);
    }
    for (const { at, data } of history) {
      const n = seen.get(key(data)) ?? 0;
      if (n > 0) seen.set(key(data), n - 1);
      else this.#show(data, at);
    }
    if (this.#waiting) {
      const told = new Set(history.map(e => key(e.data)));
      const waiting = this.#waiting.filter(data => !told.has(key(data)));
      this.#waiting = null;
      waiting.forEach(data => this.#hear(data, Date.now()));
    }
  }

  // show appends a message: ours, another page's, or any JSON that somebody
  // published with another client.
  #show(data, at) {
    const item = clone("message");
    const isText = typeof data === "string" || typeof data?.text === "string";
    const from = String(data?.from ?? "");
    const name = String(data?.name ?? (from || "from elsewhere")).slice(0, 40);
    item.message = { data };
    item.classList.toggle("own", from === this.#me.id);
    item.classList.toggle("same", this.#last.from === from && this.#last.name === name && at - this.#last.at < TOGETHER);
    item.classList.toggle("json", !isText);
    paintFace(item.querySelector(".face"), from || name, name);
    item.querySelector(".who").textContent = name;
    fillText(item.querySelector("p"), (isText ? data.text ?? data : JSON.stringify(data, null, 2)).slice(0, LONGEST));
    fillTime(item.querySelector("time"), at);
    this.#last = { from, name, at };
    if (data?.id) this.#byID.set(data.id, item);
    this.#append(item);
    return item;
  }

  note(text, kind = "quiet") {
    const item = clone("note");
    item.classList.add(kind);
    item.firstElementChild.textContent = text;
    this.#last = {};
    if (kind === "new") this.log.querySelector(".note.new")?.remove();
    this.#append(item);
  }

  #append(item) {
    this.log.append(item);
    if (this.log.childElementCount > KEPT) {
      const oldest = this.log.firstElementChild;
      this.#byID.delete(oldest.message?.data?.id);
      oldest.remove();
    }
    if (this.atEnd) this.toEnd();
  }

  #welcome() {
    const item = clone("welcome");
    item.querySelector("h3").textContent = `This is #${this.name}`;
    item.querySelector("code").textContent = `cometd pub ${this.#bayeux.url} ${this.channel} '"hello"'`;
    this.log.append(item);
  }

  // here takes the list of who is here. It is shown at once; that somebody came
  // or went is said once that has settled.
  #here({ people, total }) {
    this.people = people;
    this.total = total;
    this.#changed();
    this.#known ??= this.#others(); // who was here first is no news
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#announce(), SETTLED);
  }

  #others() {
    return new Map(this.people.filter(p => p.id !== this.#me.id).map(p => [p.id, p.name]));
  }

  #announce() {
    const before = this.#known;
    this.#known = this.#others();
    if (Date.now() < this.#quietUntil) return;
    const came = [...this.#known].filter(([id]) => !before.has(id)).map(([, name]) => name);
    const went = [...before].filter(([id]) => !this.#known.has(id)).map(([, name]) => name);
    if (came.length > 0) this.note(`${listed(came)} joined`);
    if (went.length > 0) this.note(`${listed(went)} left`);
  }

  #scrolled() {
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    if (!this.isShown || atEnd === this.atEnd) return;
    this.atEnd = atEnd;
    this.#changed();
  }

  toEnd() {
    this.atEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
  }

  // read takes all as read that can be seen.
  read() {
    if (this.isShown && this.atEnd && !document.hidden) this.unread = 0;
  }
}

function fail(item, error) {
  item.classList.replace("sending", "failed");
  item.querySelector(".fate").textContent = `not sent: ${reason(error)}`;
}

// reason is what people read of an error such as 403:/chat/x:publish_denied.
function reason(error) {
  return (error.message.split(":").pop() || error.message).replaceAll("_", " ");
}

const listed = people => new Intl.ListFormat("en").format(people.length > 4 ? [...people.slice(0, 3), `${people.length - 3} others`] : people);

// A face is the first letters of a name, on a colour that is the person's.
export function paintFace(face, id, name) {
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.codePointAt(0)) % 360;
  face.style.setProperty("--hue", hue);
  face.textContent = name.split(/\s+/).slice(0, 2).map(word => [...word][0] ?? "").join("").toUpperCase();
}

function fillTime(time, at) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  time.dateTime = date.toISOString();
  time.textContent = date.toLocaleString([], { hour: "2-digit", minute: "2-digit", ...(!isToday && { day: "numeric", month: "short" }) });
}

// fillText writes text with its links as links. Nothing in it can be markup.
function fillText(element, text) {
  for (const [i, part] of text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}'])/).entries()) {
    if (i % 2 === 0) element.append(part);
    else element.append(Object.assign(document.createElement("a"), { href: part, textContent: part, target: "_blank", rel: "noopener noreferrer" }));
  }
}
