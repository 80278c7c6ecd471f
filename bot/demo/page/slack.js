// The right half: messages, private messages, and the modal, as Slack shows them.
import { blocks, words } from "./blocks.js";
import { avatar, clock, h } from "./dom.js";

export function messageView(message, act, warning) {
  const body = message.blocks.length ? blocks(message.blocks, (found, node) => act(message, found, node)) : [message.text];
  return h("article", { class: `message${message.private ? " private" : ""}`, "data-ts": message.ts },
    message.private ? h("p", { class: "only" }, "◉ Only visible to you") : null,
    avatar("PM Agent", "square"),
    h("div", { class: "bubble" },
      h("p", { class: "who" }, h("strong", {}, "PM Agent"), h("span", { class: "badge" }, "App"),
        h("time", { datetime: message.at }, clock(message.at)),
        message.edited ? h("span", { class: "quiet" }, "(edited)") : null),
      h("div", { class: "kit" }, ...body),
      warning ? h("p", { class: "triangle" }, `⚠ ${warning}`) : null));
}

/** Fill the dialog with a view; `submit(text)` and `dismiss()` are called by its buttons. What is typed is kept. */
export function modalView(dialog, modal, typed, submit, dismiss) {
  const view = modal.view;
  const parts = view.blocks.map((block) => (block.type === "input" ? input(block, modal, typed) : blocks([block], () => {})));
  const form = h("form", { novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    submit(form.querySelector("textarea, input")?.value ?? "");
  } },
  h("header", {}, h("h2", { id: "modal-title" }, words(view.title)),
    h("button", { type: "button", class: "close", "aria-label": "Close", onclick: dismiss }, "✕")),
  h("div", { class: "modal-body" }, ...parts.flat()),
  h("footer", {},
    h("button", { type: "button", class: "button", onclick: dismiss }, view.close ? words(view.close) : "Cancel"),
    view.submit ? h("button", { type: "submit", class: "button primary" }, words(view.submit)) : null));
  dialog.replaceChildren(form);
  dialog.dataset.hash = view.hash;
}

function input(block, modal, typed) {
  const element = block.element;
  const id = `input-${block.block_id}`;
  const most = element.max_length || 3000;
  const error = modal.errors[block.block_id];
  const field = h(element.multiline ? "textarea" : "input", { id, rows: element.multiline ? 9 : null, "aria-invalid": error ? "true" : null,
    placeholder: element.placeholder ? words(element.placeholder) : null, "aria-describedby": `${id}-note` });
  field.value = typed ?? element.initial_value ?? "";
  const count = h("span", { class: "count" });
  const tell = () => {
    const left = most - [...field.value].length;
    count.textContent = left < 300 ? `${left}` : "";
    count.classList.toggle("over", left < 0);
  };
  field.addEventListener("input", tell);
  tell();
  return h("div", { class: "input" }, h("label", { for: id }, words(block.label)), field,
    h("p", { id: `${id}-note`, class: "note" }, error ? h("span", { class: "error" }, error) : block.hint ? words(block.hint) : "", count));
}
