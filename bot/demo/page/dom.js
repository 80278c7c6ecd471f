// Small helpers to build the page. Text from anywhere else enters only through textContent, addresses only through
// `link`, which takes http, https and mailto.

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

let site = "";
let openIssue = () => {};

/** Links into the demo's own Jira open the issue on the left instead of a new tab. */
export function ownSite(address, open) {
  site = address;
  openIssue = open;
}

export function link(url, ...children) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return h("span", {}, ...children);
  }
  if (!["http:", "https:", "mailto:"].includes(parsed.protocol)) return h("span", { title: url }, ...children);
  const own = site && url.startsWith(`${site}/browse/`);
  return h("a", {
    href: parsed.href, target: "_blank", rel: "noopener noreferrer", title: url,
    onclick: (event) => {
      if (!own) return;
      event.preventDefault();
      openIssue(decodeURIComponent(parsed.pathname.split("/browse/")[1]), parsed.searchParams.get("focusedCommentId"));
    },
  }, ...children);
}

const COLOURS = ["#1f6f8b", "#7a4e9e", "#b0562b", "#2e7d5b", "#a23b57", "#52637a", "#8a6d1d", "#3a5fad"];

export function avatar(name, extra = "") {
  if (name === "PM Agent") return h("img", { class: `avatar ${extra}`, src: "/page/icon.svg", alt: "" });
  const sum = [...name].reduce((total, letter) => total + letter.codePointAt(0), 0);
  const letters = name.split(/\s+/).map((word) => word[0] || "").slice(0, 2).join("");
  const node = h("span", { class: `avatar ${extra}`, "aria-hidden": "true" }, letters);
  node.style.backgroundColor = COLOURS[sum % COLOURS.length];
  return node;
}

export function clock(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}

export function ago(iso) {
  const seconds = (Date.now() - new Date(iso)) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 90) return "a minute ago";
  if (seconds < 3600) return `${Math.round(seconds / 60)} minutes ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  const days = Math.round(seconds / 86400);
  return days === 1 ? "yesterday" : `${days} days ago`;
}
