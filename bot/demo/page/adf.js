// Atlassian's document format as Jira shows it.
import { h, link } from "./dom.js";

const BLOCKS = { paragraph: "p", bulletList: "ul", orderedList: "ol", listItem: "li", blockquote: "blockquote",
  table: "table", tableRow: "tr", tableCell: "td", tableHeader: "th" };
const MARKS = { strong: "strong", em: "em", code: "code", strike: "s", underline: "u" };

export function adf(doc) {
  return doc ? (doc.content || []).map(block) : [];
}

function block(node) {
  const inside = () => (node.content || []).map(block);
  if (node.type === "text") return text(node);
  if (node.type === "hardBreak") return h("br");
  if (node.type === "rule") return h("hr");
  if (node.type === "mention") return h("span", { class: "mention" }, node.attrs?.text || `@${node.attrs?.id}`);
  if (node.type === "emoji") return node.attrs?.text || node.attrs?.shortName || "";
  if (node.type === "inlineCard") return link(node.attrs?.url || "", node.attrs?.url || "");
  if (node.type === "heading") return h(`h${Math.min(6, (node.attrs?.level || 1) + 2)}`, {}, ...inside());
  if (node.type === "codeBlock") return h("pre", {}, h("code", {}, ...inside()));
  if (node.type === "panel") return h("div", { class: "panel" }, ...inside());
  return h(BLOCKS[node.type] || "div", {}, ...inside());
}

function text(node) {
  return (node.marks || []).reduce((inner, mark) => {
    if (mark.type === "link") return link(mark.attrs?.href || "", inner);
    return MARKS[mark.type] ? h(MARKS[mark.type], {}, inner) : inner;
  }, document.createTextNode(node.text || ""));
}
