// The left half: the list of issues and one issue, as Jira shows them.
import { adf } from "./adf.js";
import { ago, avatar, h } from "./dom.js";

export function issueList(found, current, choose) {
  return found.map((issue) => h("li", {},
    h("button", { type: "button", class: issue.key === current ? "on" : "", "aria-current": issue.key === current ? "true" : null,
      "data-key": issue.key, onclick: () => choose(issue.key) },
    h("span", { class: "key" }, kind(issue), issue.key),
    h("span", { class: "summary" }, issue.summary),
    h("span", { class: "foot" }, lozenge(issue), issue.assignee ? avatar(issue.assignee.name, "tiny") : null))));
}

function kind(issue) {
  const type = issue.type === "Bug" ? "bug" : issue.service_desk ? "desk" : "story";
  return h("span", { class: `kind ${type}`, title: issue.type, "aria-hidden": "true" });
}

function lozenge(issue) {
  return h("span", { class: `lozenge ${issue.category}` }, issue.status);
}

export function issueView(issue, statuses, fresh, move) {
  const select = h("select", { class: `lozenge ${issue.category}`, "aria-label": "Status",
    onchange: (event) => move(issue.key, event.target.value) },
  ...statuses.map((status) => h("option", { selected: status === issue.status }, status)));
  return [
    h("p", { class: "crumbs" }, `${issue.project}  /  `, kind(issue), issue.key),
    h("h1", {}, issue.summary),
    h("dl", { class: "facts" },
      fact("Status", select),
      fact("Assignee", issue.assignee ? person(issue.assignee.name) : h("span", { class: "nobody" }, "Unassigned")),
      fact("Reporter", person(issue.reporter.name)),
      fact("Priority", h("span", { class: `priority ${issue.priority.toLowerCase()}` }, issue.priority)),
      issue.labels.length ? fact("Labels", h("span", {}, ...issue.labels.map((l) => h("span", { class: "label" }, l)))) : null),
    h("div", { class: "doc" }, ...adf(issue.description)),
    ...issue.pulls.map((pull) => h("p", { class: "linked" }, h("span", { class: "pr" }, pull.state.toLowerCase()),
      h("strong", {}, `#${pull.number}`), ` ${pull.title} `,
      h("span", { class: "quiet" }, `${pull.author} · ${pull.approved} of ${pull.reviewers} approvals`))),
    ...issue.links.map((other) => h("p", { class: "linked" }, h("span", { class: "quiet" }, other.relation), " ",
      h("strong", {}, other.key), ` ${other.summary} `, h("span", { class: "quiet" }, other.status))),
    h("h2", { class: "eyebrow" }, issue.comments.length ? `Comments · ${issue.comments.length}` : "No comments yet"),
    h("ol", { class: "comments" }, ...issue.comments.map((comment) => commentView(comment, issue, fresh))),
  ];
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function person(name) {
  return h("span", { class: "person" }, avatar(name, "tiny"), name);
}

function commentView(comment, issue, fresh) {
  const classes = ["comment-item", comment.public ? "" : "internal", fresh.has(comment.id) ? "fresh" : "", comment.ours ? "ours" : ""];
  return h("li", { class: classes.join(" "), id: `comment-${comment.id}` },
    avatar(comment.author.name),
    h("div", {},
      h("p", { class: "who" }, h("strong", {}, comment.author.name), badge(comment),
        h("time", { datetime: comment.created }, ago(comment.created)),
        comment.edited ? h("span", { class: "quiet" }, "edited") : null),
      !comment.public ? h("p", { class: "note" }, "Internal note, hidden from the customer") : null,
      h("div", { class: "doc" }, ...adf(comment.body))));
}

function badge(comment) {
  if (comment.author.kind === "app") return h("span", { class: "badge" }, "App");
  return comment.author.kind === "customer" ? h("span", { class: "badge" }, "Customer") : null;
}
