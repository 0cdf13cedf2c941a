// The chat page. A room is the channel /chat/ROOM; who is in it comes on
// /presence/ROOM; /service/chat is told that we are there, and answers with
// what was said last.

import { Bayeux } from "./bayeux.js";
import { Room, clone, paintFace, randomID } from "./room.js";

const $ = id => document.getElementById(id);
const pick = list => list[Math.floor(Math.random() * list.length)];
const names = { websocket: "WebSocket", "long-polling": "Long-polling" };

const bayeux = new Bayeux(document.body.dataset.bayeux);
const me = recall("me") ?? { id: randomID(), name: someName() };
const rooms = new Map();
let current;
let elsewhere = []; // rooms with people, as the server tells

// The tab is the person: two windows are two people, and a reload is the same.
function recall(key) {
  try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; }
}
function keep(key, value) {
  try { sessionStorage.setItem(key, JSON.stringify(value)); } catch { /* private mode: for this page only */ }
}

function someName() {
  const adjectives = ["Quiet", "Bright", "Swift", "Lucky", "Gentle", "Bold", "Merry", "Clever"];
  const animals = ["Otter", "Heron", "Fox", "Lynx", "Wren", "Badger", "Finch", "Hare"];
  return `${pick(adjectives)} ${pick(animals)}`;
}

// ---- rooms

function open(name) {
  if (!rooms.has(name)) {
    const room = new Room(name, bayeux, me, () => show());
    rooms.set(name, room);
    $("logs").append(room.log);
    if (bayeux.state === "connected") room.enter();
    keep("rooms", [...rooms.keys()]);
  }
  return rooms.get(name);
}

function goTo(name) {
  current = open(name);
  for (const room of rooms.values()) room.show(room === current);
  $("room-name").textContent = name;
  $("text").placeholder = `Message #${name}`;
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  show();
}

function leave(name) {
  rooms.get(name).leave();
  rooms.delete(name);
  keep("rooms", [...rooms.keys()]);
  if (current.name === name) goTo([...rooms.keys()][0] ?? "lobby");
  show();
}

const roomName = text => text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 32);

// ---- what is shown beside the messages

function show() {
  if (!current) return; // not begun yet
  current.read();
  showRooms();
  showPeople();
  showLatest();
}

let shownRooms = ""; // what the list of rooms says

function showRooms() {
  const people = new Map(elsewhere.map(r => [r.name, r.people]));
  const others = [...people.keys()].filter(name => !rooms.has(name)).slice(0, 12);
  const names = [...rooms.keys(), ...others];
  const away = [...rooms.values()].reduce((n, r) => n + (r === current ? 0 : r.unread), 0);
  const all = away + current.unread;
  $("elsewhere").hidden = away === 0;
  document.title = `${all > 0 ? `(${all}) ` : ""}#${current.name} · cometd chat`;

  // A list that is made anew loses a click that has just begun: only if need be.
  const says = JSON.stringify([current.name, names.map(n => [n, rooms.get(n)?.unread ?? people.get(n), rooms.has(n)])]);
  if (says === shownRooms) return;
  shownRooms = says;
  replaceKeepingFocus($("rooms"), names.map(n => roomItem(n, rooms.get(n), people.get(n))));
}

function roomItem(name, room, people = 0) {
  const item = clone("room");
  const [go, close] = item.querySelectorAll("button");
  const badge = go.querySelector(".badge");
  item.classList.toggle("here", room !== undefined);
  item.classList.toggle("unread", room?.unread > 0);
  go.dataset.key = `go ${name}`;
  go.querySelector(".name").textContent = name;
  if (room === current) go.ariaCurrent = "true";
  if (room?.unread > 0) {
    badge.textContent = room.unread > 99 ? "99+" : room.unread;
    go.ariaLabel = `${name}, ${room.unread} unread`;
  } else if (!room) {
    badge.textContent = people;
    go.ariaLabel = `${name}, ${people} there`;
  }
  go.onclick = () => { goTo(name); closePanel(); };
  if (room && rooms.size > 1) {
    close.ariaLabel = `Leave ${name}`;
    close.dataset.key = `leave ${name}`;
    close.onclick = () => leave(name);
  } else close.remove();
  return item;
}

// replaceKeepingFocus is replaceChildren for lists that somebody may be in with
// the keyboard.
function replaceKeepingFocus(list, items) {
  const key = list.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  list.replaceChildren(...items);
  if (key) list.querySelector(`[data-key="${key}"]`)?.focus();
}

function showPeople() {
  const { people, total } = current;
  $("people-count").textContent = total;
  $("people-title").textContent = total > 1 ? `In this room · ${total}` : "In this room";
  const mine = people.filter(p => p.id === me.id), others = people.filter(p => p.id !== me.id);
  $("here").replaceChildren(...[...mine, ...others].map(personItem));
}

function personItem({ id, name, transport }) {
  const item = clone("person");
  paintFace(item.querySelector(".face"), id, name);
  item.querySelector(".name").textContent = id === me.id ? `${name} (you)` : name;
  item.querySelector(".via").textContent = names[transport] ?? transport;
  return item;
}

function showLatest() {
  $("latest").hidden = current.atEnd;
  $("latest").lastElementChild.textContent = current.unread > 0 ? `${current.unread} new` : "Latest";
}

// ---- connection

let told = ""; // the transport that the others see us on

bayeux.addEventListener("session", () => rooms.forEach(room => (room.isIn = false)));
bayeux.addEventListener("change", () => {
  showConnection();
  if (bayeux.state !== "connected") return;
  rooms.forEach(room => (!room.isIn || told !== bayeux.transport) && room.enter());
  told = bayeux.transport;
  setTimeout(measure, 500); // when the rooms have been entered
});

function showConnection() {
  const { state, transport } = bayeux;
  const [, how, text] = $("pill").children;
  const seconds = Math.ceil((bayeux.wakesAt - Date.now()) / 1000);
  const words = {
    stopped: "Stopped", connecting: "Connecting", refused: "Refused", connected: names[transport] ?? transport,
    waiting: seconds > 1 ? `Back in ${seconds} s` : "Reconnecting",
  };
  $("pill").dataset.state = state;
  how.textContent = state === "connected" ? "Connected by " : "";
  text.textContent = words[state];
  $("pill").title = bayeux.reason;
  $("state").textContent = state === "waiting" ? words.waiting.toLowerCase() : state;
  $("transport").textContent = names[transport] ?? "–";
  if (state !== "connected") $("round-trip").textContent = "–";
}
setInterval(() => bayeux.state === "waiting" && showConnection(), 500);

// measure asks the echo service how long a request takes.
async function measure() {
  if (bayeux.state !== "connected" || document.hidden) return;
  const from = performance.now();
  try {
    await bayeux.call("/service/echo", "ping");
    const ms = performance.now() - from;
    if (bayeux.state === "connected") $("round-trip").textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  } catch { /* the link broke: its successor is measured */ }
}
setInterval(measure, 15_000);

bayeux.addEventListener("wire", ({ detail: { from, messages } }) => {
  for (const message of messages) showFrame(from, message);
});

function showFrame(from, message) {
  const frames = $("frames");
  const item = clone("frame");
  const [arrow, what, time] = item.querySelector("summary").children;
  item.className = from;
  arrow.textContent = from === "client" ? "↑" : "↓";
  arrow.ariaLabel = from === "client" ? "sent" : "received";
  what.textContent = message.channel;
  time.textContent = new Date().toLocaleTimeString([], { minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1 });
  item.classList.toggle("no", message.successful === false);
  item.querySelector("details").addEventListener("toggle", event => {
    event.target.lastElementChild.textContent = JSON.stringify(message, null, 2);
  }, { once: true });
  const wasAtEnd = frames.scrollHeight - frames.scrollTop - frames.clientHeight < 24;
  frames.append(item);
  while (frames.childElementCount > 100) frames.firstElementChild.remove();
  if (wasAtEnd) frames.scrollTop = frames.scrollHeight;
}

// ---- what people do

$("say").addEventListener("submit", event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) current.say(text);
  $("text").value = "";
  fit();
  $("text").focus();
});

$("text").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("say").requestSubmit();
});

// focusText makes ready to type, except where that would bring up a keyboard.
function focusText() {
  if (matchMedia("(hover: hover)").matches) $("text").focus();
}

// fit makes the field as high as its text, up to what the style allows.
function fit() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
$("text").addEventListener("input", fit);

$("open").addEventListener("submit", event => {
  event.preventDefault();
  const name = roomName($("open-name").value);
  $("open-name").value = "";
  if (!name) return;
  goTo(name);
  closePanel();
  focusText();
});

$("my-name").value = me.name;
$("rename").addEventListener("submit", event => { event.preventDefault(); $("my-name").blur(); });
$("my-name").addEventListener("change", () => {
  const name = $("my-name").value.trim().replace(/\s+/g, " ");
  if (name && name !== me.name) {
    me.name = name;
    keep("me", me);
    rooms.forEach(room => room.enter());
  }
  $("my-name").value = me.name;
});

const useTypes = { auto: ["websocket", "long-polling"], websocket: ["websocket"], "long-polling": ["long-polling"] };
$("use").addEventListener("change", event => {
  bayeux.use(useTypes[event.target.value]);
  bayeux.start(); // it may have been refused before
});

$("latest").addEventListener("click", () => { current.toEnd(); show(); focusText(); });
document.addEventListener("visibilitychange", () => show());
addEventListener("hashchange", () => { const name = roomName(location.hash.slice(1)); if (name) goTo(name); });

// On a narrow screen the panels lie over the messages, one at a time.
let opener = null;

function openPanel(button) {
  opener = button;
  const panel = $(button.dataset.opens);
  document.body.dataset.panel = panel.id;
  button.ariaExpanded = "true";
  $("shade").hidden = false;
  document.querySelector("main").inert = true;
  panel.focus({ preventScroll: true }); // and not a field in it, which would bring up the keyboard
}

function closePanel() {
  if (!opener) return;
  delete document.body.dataset.panel;
  $("shade").hidden = true;
  document.querySelector("main").inert = false;
  opener.ariaExpanded = "false";
  opener.focus();
  opener = null;
}

for (const button of document.querySelectorAll("[data-opens]")) button.addEventListener("click", () => openPanel(button));
$("shade").addEventListener("click", closePanel);
addEventListener("keydown", event => event.key === "Escape" && closePanel());
for (const width of [720, 1080]) matchMedia(`(min-width: ${width}px)`).addEventListener("change", closePanel);

// Above a phone's keyboard is less room than the window has.
window.visualViewport?.addEventListener("resize", () => {
  document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
});

// ---- begin

keep("me", me);
bayeux.subscribe("/presence", m => { elsewhere = m.data.rooms; show(); });
(recall("rooms") ?? ["lobby"]).forEach(open);
goTo(roomName(location.hash.slice(1)) || [...rooms.keys()][0] || "lobby");
showConnection();
focusText();
bayeux.start();

// A closed tab is gone at once for the others, not only when its session
// expires; and back, if the browser brings it back.
addEventListener("pagehide", () => bayeux.stop());
addEventListener("pageshow", event => event.persisted && bayeux.start());
