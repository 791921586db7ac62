import { draw, shown } from "./chart.js";
import { showIngestions } from "./ingestion.js";
import { ask, forgetKey, listen, setKey } from "./service.js";

const MONITORING = "/v1/monitoring/embeddings";
const MODELS = "/v1/runtime/models";
const CACHE = "/v1/runtime/cache";
const EVERY_MS = 2000;
const KEPT_EVENTS = 50;

const at = (id) => document.getElementById(id);
const rows = new Map();
let past = { samples: [], budget_bytes: 0 };
let catalogue = [];
let loadedModels = [];
let takenAt = 0;

function make(kind, className = "", text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

// Changed only where it changes, so that neither focus nor screen readers are disturbed.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function number(id, value, unit = "") {
  const element = at(id);
  if (element.textContent === value + unit) return;
  element.replaceChildren(value, ...(unit ? [make("small", "", unit)] : []));
}

function bytes(id, value) {
  number(id, ...shown(value).split(" "));
}

function time(id, seconds) {
  if (seconds === null) number(id, "–");
  else if (seconds < 1) number(id, (seconds * 1000).toPrecision(seconds < 0.1 ? 2 : 3).replace(/e.*/, ""), "ms");
  else number(id, seconds.toFixed(1), "s");
}

function long(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  const h = Math.floor(s / 3600);
  return h < 48 ? `${h} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(h / 24)} days`;
}

function stateOf(model) {
  if (model.state !== "loaded") return `${model.stage || "loading"}…`;
  if (model.in_use) return "in use";
  if (model.pinned) return "pinned";
  if (model.unloads_in_s === null) return "ready";
  return `unloads in ${long(model.unloads_in_s - (performance.now() - takenAt) / 1000)}`;
}

function newRow(key) {
  const row = make("li");
  row.dataset.model = key;
  const title = make("p");
  title.append(make("b"), make("span", "level"), make("span", "quiet summary"));
  row.append(title, make("p", "size"), make("div", "state"), make("button"));
  row.querySelector("button").addEventListener("click", () => act(row));
  at("models").append(row);
  rows.set(key, row);
  return row;
}

async function act(row) {
  const button = row.querySelector("button");
  const { action, name } = button.dataset;
  button.disabled = true;
  put(at("said"), action === "unload" ? `Unloading ${name}.` : `Loading ${name}.`);
  try {
    if (action === "unload") await ask(`${MODELS}/${name}`, "DELETE");
    else await ask(`${MODELS}/${name}`, "PUT", {});
    put(at("said"), action === "unload" ? `${name} is unloaded.` : `${name} is loaded.`);
  } catch (error) {
    put(at("said"), error.message);
  }
  button.disabled = false;
  await refresh();
  if (document.activeElement === document.body) button.focus();
}

function showProgress(place, model) {
  const bar = place.querySelector("progress") || place.appendChild(document.createElement("progress"));
  bar.setAttribute("aria-label", `Loading ${model.model}`);
  if (model.progress === null) bar.removeAttribute("value");
  else bar.value = model.progress;
}

function showRow(key, model, offered) {
  const row = rows.get(key) || newRow(key);
  const [title, size, state, button] = row.children;
  const name = model ? model.name : offered.name;
  put(title.children[0], model ? model.model : offered.name);
  put(title.children[1], model ? model.quantization : "");
  title.children[1].hidden = !model;
  put(title.children[2], offered ? offered.summary : "");
  put(size, model ? shown(model.size_bytes) : "");
  const isLoading = Boolean(model) && model.state !== "loaded";
  if (!state.firstChild) state.append(make("span"));
  put(state.firstChild, model ? stateOf(model) : "not loaded");
  if (isLoading) showProgress(state, model);
  else state.querySelector("progress")?.remove();
  button.dataset.action = model ? "unload" : "load";
  button.dataset.name = name;
  put(button, model ? "Unload" : "Load");
  button.setAttribute("aria-label", `${model ? "Unload" : "Load"} ${name}`);
}

// Loaded ones by artifact; one row for each model of the catalogue that is not.
function showModels() {
  const wanted = new Map();
  for (const offered of catalogue) {
    const found = loadedModels.filter((model) => model.model === offered.name);
    found.forEach((model, place) => wanted.set(place ? model.name : offered.name, [model, offered]));
    if (!found.length) wanted.set(offered.name, [null, offered]);
  }
  for (const [key, row] of rows) {
    if (!wanted.has(key)) {
      row.remove();
      rows.delete(key);
    }
  }
  for (const [key, [model, offered]] of wanted) showRow(key, model, offered);
  const n = loadedModels.filter((model) => model.state === "loaded").length;
  put(at("counted"), n ? `${n} loaded` : "none loaded");
}

function showCache(cache) {
  at("clear").hidden = !cache;
  if (!cache) return;
  const asked = cache.hits + cache.misses;
  if (asked) number("hit-rate", ((100 * cache.hits) / asked).toFixed(1), "%");
  number("entries", cache.entries.toLocaleString("en"), `of ${cache.most_entries.toLocaleString("en")}`);
  number("cache-bytes", (cache.bytes / 2 ** 20).toFixed(1), "MiB");
  number("evictions", cache.evictions.toLocaleString("en"));
}

function show(found) {
  const { ram, pressure, requests, service } = found;
  ({ catalogue, runtime: loadedModels } = found);
  takenAt = performance.now();
  put(at("about"), `${service.version} · up ${long(service.uptime_s)}`);
  bytes("rss", ram.process_rss_mb * 1e6);
  bytes("models-mb", ram.estimated_models_mb * 1e6);
  bytes("budget", ram.budget_mb * 1e6);
  number("shared", Math.round(pressure.fraction * 100).toString(), "%");
  put(at("pressure"), `pressure ${pressure.level}`);
  at("pressure").dataset.level = pressure.level;
  at("exceeded").hidden = !ram.budget_exceeded;
  put(at("exceeded"), `Models take more than the ${ram.limit_mb} MB that are meant for them.`);
  number("rate", requests.per_second.toFixed(1), "/ s");
  number("waiting", requests.waiting.toString());
  time("p50", requests.p50_s);
  time("p95", requests.p95_s);
  number("total", requests.total.toLocaleString("en"));
  number("texts", requests.texts.toLocaleString("en"));
  showModels();
  showCache(found.cache);
}

function connection(text, level) {
  put(at("connection"), text);
  at("connection").dataset.level = level;
}

function failed(error) {
  if (error.status === 401) {
    at("ask").hidden = false;
    at("main").hidden = true;
    connection("key needed", "medium");
    return;
  }
  connection("not connected", "lost");
}

async function refresh() {
  try {
    show(await ask(MONITORING));
    if (at("main").hidden) at("main").hidden = false;
    at("ask").hidden = true;
    connection("live", "low");
  } catch (error) {
    failed(error);
  }
}

async function refreshChart() {
  try {
    past = await ask("/v1/monitoring/history");
    draw(at("chart"), past.samples, past.budget_bytes);
  } catch (error) {
    failed(error);
  }
}

async function refreshIngestion() {
  try {
    const { indexes } = await ask("/v1/ingestion");
    showIngestions(at("ingestion"), indexes, long, shown);
  } catch (error) {
    failed(error);
  }
}

const SENTENCES = {
  loaded: (e) => `${e.artifact} is loaded: ${shown(e.bytes)} in ${Number(e.took_s).toFixed(1)} s`,
  unloaded: (e) => `${e.artifact} is unloaded (${e.reason})`,
  pressure: (e) => `Pressure is ${e.level}, was ${e.before}`,
  warning: (e) => `Memory is ${Math.round(e.fraction * 100)} % full`,
  refused: (e) => `${e.artifact} was refused (${e.reason}): needs ${shown(e.need_bytes)}`,
  lost: (e) => `${e.n_lost} events were missed`,
};

function happened(kind, told) {
  if (kind === "loading") {
    progressed(told);
    return;
  }
  const item = make("li");
  const when = make("time", "", new Date(told.at ? told.at * 1000 : Date.now()).toLocaleTimeString("en-GB"));
  item.append(when, make("span", "", SENTENCES[kind] ? SENTENCES[kind](told) : kind));
  const log = at("events");
  if (log.firstElementChild?.className === "quiet") log.firstElementChild.remove();
  log.prepend(item);
  while (log.children.length > KEPT_EVENTS) log.lastElementChild.remove();
  refresh();
}

function progressed(told) {
  const [model, quantization] = told.artifact.split("@");
  let found = loadedModels.find((other) => other.name === told.artifact);
  if (!found) {
    found = { name: told.artifact, model, quantization, state: "loading", size_bytes: 0, in_use: 0 };
    loadedModels = [...loadedModels, found];
  }
  found.stage = told.stage;
  found.progress = told.total ? told.done / told.total : null;
  showModels();
}

async function follow() {
  for (;;) {
    try {
      await listen("/v1/events", refresh, happened);
    } catch (error) {
      failed(error);
    }
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  setKey(at("key").value);
  await refresh();
  if (at("ask").hidden) {
    refreshChart();
    refreshIngestion();
    at("key").value = "";
  } else {
    forgetKey();
    put(at("ask-why"), "That is not the key.");
    at("key").select();
  }
});

at("clear").addEventListener("click", async () => {
  try {
    await ask(CACHE, "DELETE");
    put(at("said"), "The vector cache is empty.");
  } catch (error) {
    put(at("said"), error.message);
  }
  refresh();
});

new ResizeObserver(() => draw(at("chart"), past.samples, past.budget_bytes)).observe(at("chart"));
// A hidden tab asks nothing.
const ifSeen = (todo) => () => document.hidden || at("main").hidden || todo();
setInterval(ifSeen(refresh), EVERY_MS);
setInterval(ifSeen(refreshChart), EVERY_MS);
setInterval(ifSeen(refreshIngestion), EVERY_MS);
setInterval(ifSeen(showModels), 1000);
refresh().then(ifSeen(() => Promise.all([refreshChart(), refreshIngestion()])));
follow();
