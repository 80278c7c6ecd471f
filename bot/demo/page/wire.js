// The strip at the bottom: each HTTP exchange as it happens, newest at the top, its bodies on demand.
import { h } from "./dom.js";

const MOST = 200;
const WAYS = { jira: "PM Agent → Jira", bitbucket: "PM Agent → Bitbucket", slack: "PM Agent → Slack", claude: "PM Agent → Claude",
  "jira webhook": "Jira → PM Agent", "bitbucket webhook": "Bitbucket → PM Agent", "slack click": "Slack → PM Agent" };

export class Wire {
  constructor(list, filters) {
    this.list = list;
    this.hidden = new Set();
    filters.append(...["jira", "bitbucket", "slack", "claude"].map((service) => h("button", { type: "button", class: `chip of-${service}`,
      "aria-pressed": "true", onclick: (event) => this.toggle(service, event.currentTarget) }, service)));
  }

  toggle(service, button) {
    if (!this.hidden.delete(service)) this.hidden.add(service);
    button.setAttribute("aria-pressed", String(!this.hidden.has(service)));
    for (const row of this.list.children) row.hidden = this.hidden.has(row.dataset.service);
  }

  clear() {
    this.list.replaceChildren();
  }

  add(exchange) {
    const service = exchange.service.split(" ")[0];
    const inbound = exchange.service.includes("webhook") || exchange.method === "SOCKET" || exchange.path.startsWith("/interactive");
    const way = WAYS[exchange.method === "SOCKET" ? "slack click" : exchange.service] || exchange.service;
    const bodies = () => h("div", { class: "bodies" },
      h("div", {}, h("h4", {}, "Request"), h("pre", {}, exchange.request || "no body")),
      h("div", {}, h("h4", {}, "Answer"), h("pre", {}, exchange.response || "no body")));
    const row = h("li", { "data-service": service, class: inbound ? "inbound" : "" },
      h("details", { ontoggle: (event) => {
        if (event.target.open && !event.target.querySelector(".bodies")) event.target.append(bodies());
        if (event.target.open) event.target.scrollIntoView({ block: "nearest" });
      } },
      h("summary", {},
        h("time", {}, new Date(exchange.at).toLocaleTimeString([], { hour12: false })),
        h("span", { class: `service of-${service}` }, way),
        h("span", { class: "method" }, exchange.method),
        h("span", { class: "path", title: exchange.path }, exchange.path.replace(/^https?:\/\/[^/]+/, "")),
        h("span", { class: `status s${String(exchange.status)[0]}` }, verdict(exchange)),
        h("span", { class: "ms" }, `${exchange.ms < 10 ? exchange.ms.toFixed(1) : Math.round(exchange.ms)} ms`))));
    row.hidden = this.hidden.has(service);
    this.list.prepend(row);
    while (this.list.children.length > MOST) this.list.lastElementChild.remove();
  }
}

function verdict(exchange) {
  if (exchange.method === "SOCKET") return exchange.status === 200 ? "ack" : "no ack";
  const refused = exchange.service === "slack" && /"ok": false/.test(exchange.response);
  return refused ? `${exchange.status} refused` : exchange.status || "no answer";
}
