// How far the served indexes are: a card for each that was ever filled.

const SHOWN = ["done", "skipped", "failed", "dead", "leased", "pending"];
const STATES = { running: "low", checking: "medium", stopped: "critical", done: "low" };
const MOST = 5;

function make(kind, className = "", text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

const count = (n) => n.toLocaleString("en");
const rate = (n) => (n >= 10 ? Math.round(n).toLocaleString("en") : n.toFixed(1));

function figure(title, value, unit = "") {
  const part = make("div");
  const shown = make("dd", "", value);
  if (unit) shown.append(make("small", "", unit));
  part.append(make("dt", "", title), shown);
  return part;
}

function bar(found) {
  const whole = make("div", "bar");
  const parts = SHOWN.map((status) => found.statuses.find((one) => one.status === status)).filter((one) => one.n);
  for (const one of parts) {
    const part = make("span", one.status);
    part.style.flexGrow = one.n;
    whole.append(part);
  }
  whole.setAttribute("role", "img");
  whole.setAttribute("aria-label", parts.map((one) => `${one.percent} % ${one.status}`).join(", ") || "nothing is queued");
  const legend = make("ul", "legend quiet");
  for (const one of parts) {
    const item = make("li");
    item.append(make("i", one.status), `${count(one.n)} ${one.status} (${one.percent.toFixed(1)} %)`);
    legend.append(item);
  }
  return [whole, legend];
}

function left(found, long) {
  if (found.eta_s !== null) return long(found.eta_s);
  return found.workers.some((worker) => worker.is_alive) ? "not known yet" : "nobody works";
}

function figures(found, long) {
  const list = make("dl", "numbers");
  const alive = found.workers.filter((worker) => worker.is_alive).length;
  list.append(
    figure("Documents", rate(found.lately.documents), "/ s"),
    figure("Chunks", rate(found.lately.chunks), "/ s"),
    figure("Time left", left(found, long)),
    figure("Workers", count(alive), found.workers.length > alive ? `of ${found.workers.length}` : ""),
  );
  return list;
}

function table(className, head, rows) {
  const made = make("table", className);
  const line = (kind, cells) => {
    const row = make("tr");
    row.append(...cells.map((cell) => make(kind, "", cell)));
    return row;
  };
  made.append(make("thead"), make("tbody"));
  made.tHead.append(line("th", head));
  made.tBodies[0].append(...rows.map((cells) => line("td", cells)));
  return made;
}

function failures(found) {
  const rows = found.failures.slice(0, MOST).map((one) => [count(one.n), one.kind, one.example]);
  const rest = found.failures.slice(MOST).reduce((sum, one) => sum + one.n, 0);
  if (rest) rows.push([count(rest), "other kinds", ""]);
  return table("failures", ["Failed", "Why", "Such as"], rows);
}

function workers(found, shown) {
  const rows = found.workers.map((one) => [
    `${one.host} · ${one.pid}`,
    one.error ? `${one.state}: ${one.error}` : one.state,
    count(one.n_done),
    shown(one.rss_bytes),
  ]);
  return table("workers", ["Worker", "State", "Done", "Memory"], rows);
}

function card(one, long, shown) {
  const made = make("article");
  const head = make("div", "head");
  const found = one.ingestion;
  head.append(make("h3", "", one.index));
  made.append(head);
  if (one.error) {
    made.append(make("p", "note", one.error));
    return made;
  }
  const badge = make("p", "badge", `run ${found.run} ${found.state}`);
  badge.dataset.level = STATES[found.state];
  head.append(badge);
  if (found.reason) made.append(make("p", "note", found.reason));
  made.append(...bar(found));
  if (found.state === "done") made.append(make("p", "quiet", `Took ${long(found.took_s)}.`));
  else made.append(figures(found, long));
  if (found.failures.length) made.append(failures(found));
  if (found.workers.length) made.append(workers(found, shown));
  return made;
}

// Drawn anew only where something changed, so that what a person has selected stays so.
export function showIngestions(place, indexes, long, shown) {
  const wanted = indexes.filter((one) => one.ingestion || one.error);
  place.hidden = !wanted.length;
  const cards = place.querySelector(".cards");
  const drawn = wanted.map((one) => card(one, long, shown));
  drawn.forEach((made, at) => {
    const old = cards.children[at];
    if (!old) cards.append(made);
    else if (!old.isEqualNode(made)) old.replaceWith(made);
  });
  while (cards.children.length > drawn.length) cards.lastElementChild.remove();
}
