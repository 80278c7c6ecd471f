// Block Kit as Slack shows it: as much of it as PM Agent uses, and an honest note for the rest.
import { ago, clock, h, link } from "./dom.js";

const EMOJI = { white_check_mark: "✅", warning: "⚠️", x: "❌", hourglass: "⌛", pencil2: "✏️", eyes: "👀", lock: "🔒",
  robot_face: "🤖", information_source: "ℹ️", double_vertical_bar: "⏸", arrow_forward: "▶️", tada: "🎉", wave: "👋" };
let names = {};

export function knowNames(found) {
  names = found;
}

/** `act(element)` is called when a button is pressed. */
export function blocks(found, act) {
  return (found || []).map((block) => render(block, act));
}

function render(block, act) {
  switch (block.type) {
    case "rich_text": return h("div", { class: "rich" }, ...richText(block.elements));
    case "section": return h("div", { class: "section" },
      h("div", {}, block.text ? words(block.text) : null,
        block.fields ? h("div", { class: "fields" }, ...block.fields.map((f) => h("div", {}, words(f)))) : null),
      block.accessory ? element(block.accessory, act) : null);
    case "header": return h("h3", { class: "header" }, words(block.text));
    case "divider": return h("hr");
    case "context": return h("div", { class: "context" },
      ...block.elements.map((e) => (e.type === "image" ? e.alt_text : h("span", {}, words(e)))));
    case "actions": return h("div", { class: "actions" }, ...block.elements.map((e) => element(e, act)));
    case "table": return h("table", {}, ...block.rows.map((row) => h("tr", {}, ...row.map((cell) =>
      h("td", {}, ...(cell.type === "rich_text" ? richText(cell.elements) : [cell.text]))))));
    case "container": return h("section", { class: "container" },
      h("header", {}, block.title ? h("strong", {}, words(block.title)) : null,
        block.subtitle ? h("span", { class: "quiet" }, words(block.subtitle)) : null),
      ...blocks(block.child_blocks, act));
    case "image": return h("p", { class: "context" }, `[image: ${block.alt_text}]`);
    default: return h("p", { class: "context" }, `[${block.type}]`);
  }
}

function element(found, act) {
  if (found.type === "button") {
    const style = found.style ? ` ${found.style}` : "";
    if (found.url) return h("span", { class: `button${style}` }, link(found.url, words(found.text)));
    return h("button", { type: "button", class: `button${style}`, "data-action": found.action_id,
      onclick: (event) => act(found, event.currentTarget) }, words(found.text));
  }
  return h("span", { class: "context" }, `[${found.type}]`);
}

function richText(elements) {
  const out = [];
  for (const item of elements || []) {
    if (item.type === "rich_text_list") {
      const list = h(item.style === "ordered" ? "ol" : "ul", { class: `indent${item.indent || 0}${item.border ? " barred" : ""}` },
        ...item.elements.map((inner) => h("li", {}, ...inline(inner.elements))));
      if (item.offset) list.setAttribute("start", String(item.offset + 1));
      out.push(list);
    } else if (item.type === "rich_text_quote") {
      out.push(h("blockquote", {}, ...inline(item.elements)));
    } else if (item.type === "rich_text_preformatted") {
      out.push(h("pre", { class: item.border ? "barred" : "" }, ...inline(item.elements)));
    } else {
      out.push(h("div", { class: "line" }, ...inline(item.elements)));
    }
  }
  return out;
}

function inline(elements) {
  return (elements || []).map((item) => styled(one(item), item.style));
}

function one(item) {
  switch (item.type) {
    case "text": return document.createTextNode(item.text);
    case "link": return link(item.url, item.text || item.url);
    case "emoji": return EMOJI[item.name] || `:${item.name}:`;
    case "user": return h("span", { class: "mention" }, `@${names[item.user_id] || item.user_id}`);
    case "usergroup": return h("span", { class: "mention" }, `@${item.usergroup_id}`);
    case "broadcast": return h("span", { class: "mention loud" }, `@${item.range}`);
    case "channel": return h("span", { class: "mention" }, `#${item.channel_id}`);
    case "date": return date(item);
    default: return "";
  }
}

function date(item) {
  const iso = new Date(item.timestamp * 1000).toISOString();
  const at = new Date(iso);
  const parts = { "{ago}": ago(iso), "{time}": clock(iso), "{date}": at.toLocaleDateString(),
    "{date_num}": iso.slice(0, 10), "{date_short_pretty}": at.toLocaleDateString(), "{date_pretty}": at.toLocaleDateString(),
    "{date_short}": at.toLocaleDateString(), "{date_long}": at.toLocaleDateString() };
  const text = Object.entries(parts).reduce((all, [key, value]) => all.replaceAll(key, value), item.format);
  return h("time", { datetime: iso, title: at.toLocaleString() }, text);
}

function styled(node, style) {
  let out = node;
  const tags = { code: "code", strike: "s", italic: "em", bold: "strong" };
  for (const [name, tag] of Object.entries(tags)) if (style?.[name]) out = h(tag, {}, out);
  return out;
}

/** A text object. plain_text is shown as it is; mrkdwn gets Slack's few marks. */
export function words(found) {
  if (!found) return "";
  return found.type === "mrkdwn" ? h("span", { class: "mrkdwn" }, ...mrkdwn(found.text)) : found.text;
}

const MRKDWN = /<([^<>|]+)(?:\|([^<>]*))?>|`([^`\n]+)`|\*([^*\n]+)\*|(?<![\w])_([^_\n]+)_(?![\w])|~([^~\n]+)~|:([a-z0-9_+-]+):|\n/g;
const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

function mrkdwn(text) {
  const out = [];
  let end = 0;
  for (const found of text.matchAll(MRKDWN)) {
    out.push(plain(text.slice(end, found.index)));
    const [whole, target, label, code, bold, italic, strike, emoji] = found;
    if (whole === "\n") out.push(h("br"));
    else if (target?.startsWith("@")) out.push(h("span", { class: "mention" }, `@${names[target.slice(1)] || target.slice(1)}`));
    else if (target?.startsWith("!")) out.push(h("span", { class: "mention loud" }, `@${target.slice(1)}`));
    else if (target?.startsWith("#")) out.push(h("span", { class: "mention" }, `#${label || target.slice(1)}`));
    else if (target) out.push(link(plain(target), plain(label || target)));
    else if (code) out.push(h("code", {}, plain(code)));
    else if (bold) out.push(h("strong", {}, ...mrkdwn(bold)));
    else if (italic) out.push(h("em", {}, ...mrkdwn(italic)));
    else if (strike) out.push(h("s", {}, plain(strike)));
    else if (emoji) out.push(EMOJI[emoji] || whole);
    end = found.index + whole.length;
  }
  out.push(plain(text.slice(end)));
  return out;
}
