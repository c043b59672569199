/* Headrace's chat, in one file, without a framework. What others wrote is only ever put into text nodes; styles go
   through a constructable sheet; so it works under script-src and connect-src with nothing else allowed. */
(() => {
"use strict";

const script = document.currentScript;
const { key, title, position, language } = script ? script.dataset : {};
if (!key || document.querySelector("headrace-chat")) return;

const base = new URL("/widget/v1/conversations", script.src).href;
const spoken = language || document.documentElement.lang || navigator.language || "en";
const zh = /^zh\b/i.test(spoken);
const SHELF = "headrace." + key.slice(0, 15);
const LONGEST = 4000;

const T = zh ? {
  title: "在线客服", open: "打开在线客服", close: "关闭", unread: (n) => `，${n} 条新消息`,
  machine: "由机器回答。您可以随时要求人工服务。", log: "对话内容",
  hello: "您好！这里由机器回答；它没有把握的问题由人工回答。请问您想了解什么？",
  says: { customer: "您", machine: "机器", agent: "人工客服" },
  write: "请输入您的问题", send: "发送", sending: "正在发送…", writing: "正在回复…",
  offline: "连接已断开，正在重新连接…", retry: (s) => `消息过多，${s} 秒后再次发送。`, again: "操作未成功，请再试一次。",
  unset: "这个页面还没有开通在线客服。", refused: "这条消息无法发送。", busy: "现在提问的人太多，请稍后再试，或要求人工服务。", source: "来源：", fresh: "（在新窗口打开）",
  right: "这个回答有帮助", wrong: "这个回答不对", rate: "这个回答对吗？", thanks: "谢谢您的反馈。",
  meant: "您想问的是？", what: "正确的回答应该是？", own: "用您自己的话说明", choose: "请选择一项，或者：",
  person: "人工服务", ask: "请人工客服回复", where: "邮箱或电话（可不填）",
  why: "人工客服会在这里回复您。如果希望在别处收到答复，请留下联系方式。", request: "提交", cancel: "取消",
  asked: "已通知人工客服。", over: "重新开始", sure: "将从此浏览器中删除这段对话。", del: "删除",
} : {
  title: "Chat", open: "Open chat", close: "Close chat", unread: (n) => `, ${n} new`,
  machine: "A machine answers. You can ask for a person at any time.", log: "Conversation",
  hello: "Hello! A machine answers here; what it is not sure of, a person answers. What would you like to know?",
  says: { customer: "You", machine: "Machine", agent: "Person" },
  write: "Your question", send: "Send", sending: "Sending…", writing: "Answering…",
  offline: "No connection. Trying again…", retry: (s) => `That was a lot. Sending again in ${s} s.`,
  again: "That did not work. Please try again.", unset: "Chat is not set up for this page yet.",
  refused: "This message could not be sent.", busy: "Too much is asked at the moment. Try later, or ask for a person.", source: "Source: ", fresh: " (opens in a new window)",
  right: "This answer helped", wrong: "This answer is wrong", rate: "Was this answer right?",
  thanks: "Thank you for saying so.", meant: "What did you mean?", what: "What would have been right?",
  own: "In your own words", choose: "Choose one, or:", person: "A person, please", ask: "Ask for a person",
  where: "E-mail or phone (optional)",
  why: "A person will answer you here. If you would like the answer elsewhere, too, leave a way to reach you.",
  request: "Ask", cancel: "Cancel", asked: "A person has been asked.", over: "Start over",
  sure: "This removes the conversation from this browser.", del: "Remove",
};

const CSS = `
:host{all:initial!important;position:fixed!important;z-index:2147483000!important;bottom:0;right:0;
--paper:#fff;--sunk:#eef2f5;--line:#d3dbe1;--edge:#71808b;--ink:#1e2931;--soft:#4d5c66;--accent:#0a6484;--on:#fff;--mine:#deeef4;--bad:#a32f1d}
@media (prefers-color-scheme:dark){:host{--paper:#182027;--sunk:#24303a;--line:#35434d;--edge:#80909c;--ink:#e4ebf0;--soft:#a9b7c0;--accent:#72c7e3;--on:#06222d;--mine:#17404f;--bad:#f5a293}}
*,::before,::after{box-sizing:border-box}
aside{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC",sans-serif;color:var(--ink);text-align:start}
button,input,textarea{font:inherit;color:inherit;margin:0}
button{cursor:pointer;border-radius:9px;min-width:24px;min-height:32px;border:1px solid var(--edge);background:var(--paper);padding:4px 12px}
button:hover{border-color:var(--accent);color:var(--accent)}
button[disabled]{opacity:1;cursor:default;color:var(--soft);border-style:dashed}
.main,.main:hover{background:var(--accent);color:var(--on);border-color:var(--accent)}
.main:hover{text-decoration:underline}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
[hidden]{display:none!important}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
svg{width:22px;height:22px;fill:none;stroke:currentColor;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round;display:block}
.launch{position:fixed;bottom:20px;right:20px;width:56px;height:56px;border-radius:50%;padding:0;display:grid;place-items:center;background:var(--accent);color:var(--on);border:1px solid var(--accent);box-shadow:0 4px 16px #0004}
.launch:hover{color:var(--on);filter:brightness(1.1)}
.launch svg{width:26px;height:26px}
.launch b{position:absolute;top:-4px;right:-4px;min-width:22px;padding:1px 6px;border-radius:11px;background:var(--bad);color:var(--paper);font-size:13px;line-height:20px}
dialog{position:fixed;inset:auto 20px 20px auto;width:384px;max-width:calc(100vw - 40px);height:600px;max-height:calc(100vh - 40px);max-height:calc(100dvh - 40px);margin:0;padding:0;border:1px solid var(--line);border-radius:16px;background:var(--paper);color:var(--ink);box-shadow:0 12px 40px #0005;overflow:hidden}
dialog[open]{display:flex;flex-direction:column}
dialog::backdrop{background:none}
.left .launch{right:auto;left:20px}
.left dialog{inset:auto auto 20px 20px}
header{padding:12px 12px 10px 16px;border-bottom:1px solid var(--line);display:flex;flex-wrap:wrap;align-items:center;gap:2px 8px}
h2{margin:0;font-size:17px;line-height:1.3;font-weight:650;flex:1;min-width:0;overflow-wrap:anywhere}
header p{margin:0;flex-basis:100%;font-size:13px;color:var(--soft)}
.icon{border-color:transparent;background:none;padding:4px;min-width:34px;min-height:34px;display:inline-grid;place-items:center}
.log{flex:1;min-height:0;overflow-y:auto;overscroll-behavior:contain;padding:16px;display:flex;flex-direction:column;gap:10px}
.log:focus-visible{outline-offset:-3px}
.one{max-width:88%;align-self:flex-start}
.one.customer{align-self:flex-end}
.who{font-size:12px;color:var(--soft);margin:0 2px 2px}
.customer .who{text-align:end}
.text{width:fit-content;max-width:100%;padding:8px 12px;border-radius:4px 14px 14px 14px;background:var(--sunk);border:1px solid transparent;white-space:pre-wrap;overflow-wrap:anywhere}
.customer .text{margin-inline-start:auto;background:var(--mine);border-radius:14px 14px 4px 14px}
.agent .text{background:var(--paper);border-color:var(--accent)}
.late .text{border:1px dashed var(--edge)}
.from{margin:4px 2px 0;padding:0;list-style:none;font-size:13px;color:var(--soft);overflow-wrap:anywhere}
.from li{padding:2px 0}
a{color:var(--accent);text-underline-offset:2px;display:inline-block;min-height:24px}
.judge{display:flex;gap:2px;margin-top:2px;color:var(--soft)}
.judge svg{width:18px;height:18px}
[aria-pressed=true]{color:var(--accent);border-color:var(--accent)}
[aria-pressed=true] svg{fill:var(--mine)}
.fix,.choices{display:grid;gap:6px;margin-top:6px;justify-items:start}
.fix p,.panel p{margin:0;font-size:13px;color:var(--soft)}
.fix button,.choices button{text-align:start;overflow-wrap:anywhere;max-width:100%}
form{display:flex;gap:8px;align-items:flex-end;width:100%}
label{font-size:13px;color:var(--soft);flex:1;min-width:0;display:grid;gap:2px}
::placeholder{color:var(--soft);opacity:1}
input,textarea{width:100%;border:1px solid var(--edge);border-radius:10px;background:var(--paper);color:var(--ink);padding:7px 11px;min-width:0;font-size:16px}
textarea{resize:none;display:block;height:40px;max-height:130px;line-height:24px}
.state{min-height:20px;font-size:13px;line-height:20px;color:var(--soft);padding:0 16px}
form .main{min-height:40px}
.foot{border-top:1px solid var(--line);padding:10px 12px 12px}
.more{display:flex;flex-wrap:wrap;gap:6px;margin-top:8px}
.more button{font-size:13px;padding:2px 10px}
.panel{border-top:1px solid var(--line);padding:12px 16px;display:grid;gap:8px}
.panel form{flex-wrap:wrap}
.panel label{flex-basis:100%}
.dots::after{content:"…"}
@media (max-width:480px){dialog,.left dialog{inset:0;width:100vw;max-width:100vw;height:100vh;height:100dvh;max-height:none;border:0;border-radius:0}}
@media (prefers-reduced-motion:no-preference){dialog[open]{animation:rise .16s ease-out}@keyframes rise{from{transform:translateY(12px);opacity:0}}}
@media (forced-colors:active){.text,.launch{border:1px solid CanvasText}}
`;

/* -- building */

const h = (tag, attributes, ...inside) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...inside);
  return made;
};
const icon = (path) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  made.append(line);
  return made;
};
const THUMB = "M7 11v9H4v-9zm0 0 4-8c2 0 3 1 3 3l-1 4h6c1 0 2 1 2 2l-2 6c0 1-1 2-2 2H7";
const DOWN = "M7 13V4H4v9zm0 0 4 8c2 0 3-1 3-3l-1-4h6c1 0 2-1 2-2l-2-6c0-1-1-2-2-2H7";
const button = (text, onclick, more) => h("button", { type: "button", onclick, ...more }, text);

/* -- what is kept in this browser: the conversation and its secret, what is not sent yet, what was judged */

let kept = { outbox: [], judged: {} };
const stored = () => {
  try { return JSON.parse(localStorage.getItem(SHELF)) || {}; } catch { return {}; }
};
const save = () => {
  kept.at = Date.now();
  try { localStorage.setItem(SHELF, JSON.stringify(kept)); } catch { /* kept in memory alone */ }
};
const forget = () => {
  kept = { outbox: kept.outbox.map(({ id, text }) => ({ id, text })), judged: {} };
  last = null;
  try { localStorage.removeItem(SHELF); } catch { /* there was nothing */ }
};

/* -- the server */

class Refusal extends Error {
  constructor(status, wait) { super(String(status)); this.status = status; this.wait = wait; }
}
const call = async (path, { body, signal, after } = {}) => {
  const headers = { Authorization: `Bearer ${key}` };
  if (kept.secret) headers["Headrace-Secret"] = kept.secret;
  if (body) headers["Content-Type"] = "application/json";
  const query = after ? `?after=${encodeURIComponent(after)}` : "";
  const got = await fetch(base + path + query, {
    method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body),
    credentials: "omit", cache: "no-store",
  });
  if (!got.ok) throw new Refusal(got.status, Number(got.headers.get("Retry-After")) || 0);
  return got;
};
const ours = (path, options) => call(`/${kept.id}/${path}`, options);
const json = async (path, options) => (await ours(path, options)).json();
const events = async (got, on) => {
  const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n\n");
    rest = whole.pop();
    for (const event of whole) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(event) || [];
      if (name) on(name, JSON.parse(data));
    }
  }
};
const pause = (seconds) => new Promise((wake) => {
  const timer = setTimeout(wake, seconds * 1000 * (0.75 + Math.random() / 2));
  if (seconds > 1) addEventListener("online", () => { clearTimeout(timer); wake(); }, { once: true });
});
const later = (tries) => Math.min(30, 2 ** tries / 2);

/* -- what is shown */

let last = null, unread = 0, online = true, asking = null, live = null;
const known = new Map(), answered = new Set(), held = [];

const launcher = h("button", { type: "button", class: "launch", "aria-haspopup": "dialog", "aria-expanded": "false", onclick: () => open() },
  icon("M4 5h16v11H10l-5 4v-4H4z"));
const badge = h("b", { hidden: true, "aria-hidden": "true" });
launcher.append(badge);
const log = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": T.log, "aria-live": "polite" });
const state = h("div", { class: "state", role: "status" });
const box = h("textarea", { rows: 1, maxlength: LONGEST, autocomplete: "off", enterkeyhint: "send" });
const form = h("form", { onsubmit: (event) => { event.preventDefault(); say(); } },
  h("label", {}, h("span", { class: "unseen" }, T.write), box), h("button", { class: "main" }, T.send));
const panel = h("div", { class: "panel", hidden: true });
const person = button(T.person, () => askPerson());
const over = button(T.over, () => startOver());
const dialog = h("dialog", { "aria-labelledby": "title", "aria-describedby": "machine" },
  h("header", {}, h("h2", { id: "title" }, title || T.title),
    h("button", { type: "button", class: "icon", "aria-label": T.close, onclick: () => dialog.close() }, icon("M6 6l12 12M18 6L6 18")),
    h("p", { id: "machine" }, T.machine)),
  log, state, panel, h("div", { class: "foot" }, form, h("div", { class: "more" }, person, over)));
box.placeholder = T.write;

const tell = (text) => { if (state.textContent !== text) state.textContent = text; };
const mark = () => {
  badge.hidden = !unread;
  badge.textContent = unread;
  launcher.setAttribute("aria-label", T.open + (unread ? T.unread(unread) : ""));
};
const connected = (yes) => {
  if (!yes) tell(T.offline);
  else if (!online) tell("");
  online = yes;
};
const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
const put = (element, before) => {
  const follow = atEnd();
  log.insertBefore(element, before || null);
  if (follow) log.scrollTop = log.scrollHeight;
};
const bubble = (author, text) => {
  const said = h("div", { class: "text" }, text);
  const one = h("div", { class: `one ${author}` }, h("div", { class: "who" }, T.says[author]), said);
  one.said = said;
  return one;
};
const greeting = () => {
  if (!known.size && !known.has("")) { const one = bubble("machine", T.hello); known.set("", one); put(one); }
};

const dress = (one, message) => {
  one.said.textContent = message.text;
  while (one.said.nextSibling) one.said.nextSibling.remove();
  if (message.sources.length) one.append(h("ul", { class: "from" }, ...message.sources.map(source)));
  if (message.judge) one.append(...judging(message));
  else if (message.asks) one.append(choosing(message));
};
const source = ({ title, url }) => {
  const place = /^https?:\/\//.test(url)
    ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, title || url, h("span", { class: "unseen" }, T.fresh))
    : title;
  return h("li", {}, T.source, place);
};

/* A message that came, by whichever way it came first. What the visitor wrote waits while something is being
   sent: it may be the same, under the id that the server gave it. */
const show = (message, quiet) => {
  if (known.has(message.id)) return;
  if (message.author === "customer" && kept.outbox.some((item) => !item.at)) { held.push(message); return; }
  let one = null;
  if (message.author === "machine" && live && message.reply_to === live.to) {
    one = live.one;
    live = null;
    log.removeAttribute("aria-busy");
  }
  if (known.has("") && message.author === "machine") { one = one || known.get(""); known.delete(""); }
  const fresh = !one;
  one = one || bubble(message.author, "");
  dress(one, message);
  known.set(message.id, one);
  answered.add(message.reply_to);
  if (fresh) put(one, message.author === "customer" ? null : log.querySelector(".late"));
  if (dialog.open) seen(message.id);
  else if (!quiet && message.author !== "customer") { unread += 1; mark(); }
};

const seen = (id) => { if (id && kept.id) { kept.seen = id; save(); } };

/* -- saying something */

const say = () => {
  const text = box.value.trim();
  if (!text) return box.focus();
  box.value = "";
  grow();
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
  kept.outbox.push({ id, text });
  save();
  pending(kept.outbox.at(-1));
  deliver();
};
const pending = (item) => {
  const one = bubble("customer", item.text);
  one.classList.add("late");
  known.set(item.id, one);
  put(one);
  log.scrollTop = log.scrollHeight;
};
let delivering = false;
const deliver = async () => {
  if (delivering) return;
  delivering = true;
  for (let tries = 0; kept.outbox.length;) {
    const item = kept.outbox[0];
    try {
      tell(T.sending);
      await begun();
      await sent(item);
      connected(true);
      tell("");
      kept.outbox.shift();
      tries = 0;
    } catch (error) {
      drop();
      if (await given(error, item)) continue;
      tries += 1;
      await pause(error.wait || later(tries));
    }
    save();
  }
  delivering = false;
  held.splice(0).forEach((message) => show(message));
  listen();
};
const begun = async () => {
  const { id, secret } = stored();
  if (!kept.id && id) Object.assign(kept, { id, secret }); // begun in another tab
  if (kept.id) return;
  const got = await (await call("", { body: { language: zh ? "zh" : "en" } })).json();
  kept.id = got.conversation;
  kept.secret = got.secret;
  save();
  got.messages.forEach((message) => show(message));
};
/* One message, until its reply has come; asked again with the same id, the server gives the same reply. */
const sent = async (item) => {
  let whole = false;
  await events(await ours("messages", { body: { id: item.id, text: item.text } }), (name, data) => {
    if (name === "received") {
      item.at = data.at;
      settle(item, data);
      tell(T.writing);
    } else if (name === "part") {
      grown(data.text, item.as);
    } else if (name === "message") {
      log.removeAttribute("aria-busy");
      show(data);
      drop();
    } else if (name === "done") whole = true;
  });
  drop();
  if (!whole) throw new Error("the reply broke off");
};
const settle = (item, { id, text }) => {
  const one = known.get(item.id);
  item.as = id;
  if (one && known.has(id) && known.get(id) !== one) one.remove();
  else if (one) {
    one.classList.remove("late");
    one.said.textContent = text;
    known.set(id, one);
  }
  known.delete(item.id);
  save();
  if (!kept.outbox.some((other) => !other.at)) held.splice(0).forEach((message) => show(message));
};
const grown = (text, to) => {
  if (answered.has(to)) return; // it came whole, by the other way
  if (!live) {
    live = { to, one: bubble("machine", "") };
    log.setAttribute("aria-busy", "true");
    put(live.one, log.querySelector(".late"));
  }
  const follow = atEnd();
  live.one.said.textContent += (live.one.said.textContent ? " " : "") + text;
  if (follow) log.scrollTop = log.scrollHeight;
};
const drop = () => {
  log.removeAttribute("aria-busy");
  if (live) live.one.remove();
  live = null;
};
/* Whether an error ends a message; else it is tried again. */
const given = async (error, item) => {
  const status = error.status;
  if (status === 404 && kept.id) { forget(); return true; }
  if (status === 429 && error.wait <= 120) { tell(T.retry(error.wait)); return false; }
  if (status >= 400 && status < 500) {
    kept.outbox.shift();
    tell(status === 429 ? T.busy : status === 422 || status === 413 ? T.refused : T.unset);
    const one = known.get(item.id);
    if (one) { box.value = box.value || item.text; one.remove(); known.delete(item.id); }
    return true;
  }
  connected(false);
  return false;
};

/* -- hearing what is said */

const listen = async () => {
  if (asking || !kept.id || document.hidden) return;
  asking = new AbortController();
  const { signal } = asking;
  for (let tries = 0; kept.id && !signal.aborted;) {
    try {
      if (last === null) await past();
      const got = await ours("events", { signal, after: last });
      connected(true);
      tries = 0;
      await events(got, (name, data) => { if (name === "message") { last = data.id; show(data); } });
      await pause(0.2);
    } catch (error) {
      if (signal.aborted) break;
      if (error.status === 404) { forget(); break; }
      if (error.status === 401 || error.status === 403) break;
      if (!error.status) connected(false);
      tries += 1;
      await pause(error.wait || later(tries));
    }
  }
  if (asking && asking.signal === signal) asking = null;
};
const past = async () => {
  const { messages } = await json("messages");
  log.setAttribute("aria-live", "off");
  messages.forEach((message) => show(message, true));
  last = messages.length ? messages.at(-1).id : last;
  const read = messages.findIndex(({ id }) => id === kept.seen) + 1;
  if (dialog.open) seen(last);
  else unread = kept.seen ? messages.slice(read).filter(({ author }) => author !== "customer").length : 0;
  mark();
  log.scrollTop = log.scrollHeight;
  setTimeout(() => log.setAttribute("aria-live", "polite"), 200);
};
document.addEventListener("visibilitychange", () => {
  if (document.hidden && asking) { asking.abort(); asking = null; } else listen();
});

/* -- judging, correcting */

const judge = async (body) => {
  try {
    const { messages } = await json("feedback", { body });
    tell(T.thanks);
    messages.forEach((message) => show(message));
    return true;
  } catch (error) {
    tell(error.status === 429 ? T.retry(error.wait) : T.again);
    return false;
  }
};
const judging = (message) => {
  const fix = h("div", { class: "fix", hidden: true });
  const thumb = (verdict, label, path) => h("button", {
    type: "button", class: "icon", "aria-label": label, title: label, "aria-pressed": "false",
    onclick: () => press(verdict),
  }, icon(path));
  const up = thumb("right", T.right, THUMB), down = thumb("wrong", T.wrong, DOWN);
  const set = (verdict) => {
    up.setAttribute("aria-pressed", verdict === "right");
    down.setAttribute("aria-pressed", verdict === "wrong");
  };
  const press = async (verdict) => {
    if (!(await judge({ message: message.id, verdict }))) return;
    kept.judged[message.id] = verdict;
    save();
    set(verdict);
    fix.hidden = verdict === "right";
    if (fix.hidden) return;
    fix.replaceChildren(...fixing(message, () => { fix.hidden = true; box.focus(); }));
    fix.querySelector("button,input").focus();
    fix.scrollIntoView({ block: "nearest" });
  };
  set(kept.judged[message.id]);
  return [h("div", { class: "judge", role: "group", "aria-label": T.rate }, up, down), fix];
};
const fixing = (message, done) => {
  const own = h("input", { maxlength: 1000, autocomplete: "off" });
  const pick = async (body) => { if (await judge({ message: message.id, ...body })) done(); };
  const typed = h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      if (own.value.trim()) pick({ verdict: "wrong", text: own.value.trim() });
    },
  }, h("label", {}, T.own, own), h("button", {}, T.send));
  const list = message.choices.map(({ label, title }) => button(title, () => pick({ verdict: "correction", label })));
  return [h("p", {}, list.length ? T.meant : T.what), ...list, typed];
};
const choosing = (message) => {
  const list = message.choices.map(({ label, title }, at) => button(title, async () => {
    if (!(await judge({ message: message.id, verdict: "correction", label }))) return;
    list.forEach((one, other) => { one.disabled = true; one.setAttribute("aria-pressed", at === other); });
    box.focus();
  }));
  return h("div", { class: "choices", role: "group", "aria-label": T.meant }, ...list);
};

/* -- panels: a person, please; start over */

const ask = (words, control, doIt, yes, from) => {
  const away = () => { panel.hidden = true; from.focus(); };
  const made = h("form", { onsubmit: async (event) => { event.preventDefault(); if (await doIt()) away(); } },
    ...(control ? [h("label", {}, T.where, control)] : []),
    h("button", { class: "main" }, yes), button(T.cancel, away));
  panel.replaceChildren(h("p", {}, words), made);
  panel.hidden = false;
  panel.querySelector("input,button").focus();
  log.scrollTop = log.scrollHeight;
  return away;
};
let leave = null;
const askPerson = () => {
  const contact = h("input", { maxlength: 200, autocomplete: "email" });
  leave = ask(T.why, contact, async () => {
    try {
      await begun();
      await json("person", { body: { contact: contact.value.trim() || null } });
      tell(T.asked);
      listen();
      return true;
    } catch (error) {
      tell(error.status === 429 ? T.retry(error.wait) : error.status ? T.again : T.offline);
      return false;
    }
  }, T.request, person);
};
const startOver = () => {
  leave = ask(T.sure, null, async () => {
    if (asking) { asking.abort(); asking = null; }
    kept.outbox = [];
    forget();
    known.clear();
    held.length = 0;
    log.replaceChildren();
    greeting();
    return true;
  }, T.del, over);
};

/* -- opening and closing */

const small = matchMedia("(max-width:480px)");
const open = () => {
  if (small.matches) dialog.showModal(); else dialog.show();
  launcher.setAttribute("aria-expanded", "true");
  launcher.hidden = true;
  unread = 0;
  seen(last);
  mark();
  greeting();
  box.focus();
  log.scrollTop = log.scrollHeight;
  listen();
};
dialog.addEventListener("close", () => {
  launcher.hidden = false;
  launcher.setAttribute("aria-expanded", "false");
  launcher.focus();
});
dialog.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  event.preventDefault();
  event.stopPropagation();
  if (panel.hidden) dialog.close(); else leave();
});
const grow = () => {
  box.style.height = "";
  box.style.height = `${Math.min(130, box.scrollHeight + 2)}px`;
};
box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  // While an input method composes, Enter chooses characters.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    say();
  }
});

const start = () => {
  const host = h("headrace-chat");
  const root = host.attachShadow({ mode: "open" });
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
  } catch {
    root.append(h("style", {}, CSS));
  }
  root.append(h("aside", { lang: zh ? "zh-CN" : "en", "aria-label": title || T.title, class: position === "left" ? "left" : "" },
    launcher, dialog));
  Object.assign(kept, stored());
  mark();
  document.body.append(host);
  kept.outbox.filter((item) => !item.at).forEach(pending);
  if (kept.outbox.length) deliver();
  if (Date.now() - kept.at < 3 * 864e5) listen(); // later only once it is opened
};
if (document.body) start(); else addEventListener("DOMContentLoaded", start);
})();
