// Memory over time, drawn as SVG: the process filled, its models as a line, the budget dashed.

const NS = "http://www.w3.org/2000/svg";
const SPANS_S = [60, 120, 300, 600];
const MIB = 2 ** 20;
const EDGE = { left: 58, right: 8, top: 10, bottom: 22 };

function part(kind, attributes, text = "") {
  const made = document.createElementNS(NS, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

// A round number of MiB that cuts the height into about four.
function step(highest) {
  const rough = highest / 4;
  const power = 2 ** Math.floor(Math.log2(rough));
  return rough / power > 1.5 ? power * 2 : power;
}

export const shown = (bytes) => (bytes >= 1024 * MIB ? `${+(bytes / 1024 / MIB).toFixed(1)} GiB` : `${Math.round(bytes / MIB)} MiB`);

export function draw(svg, samples, budget) {
  const { width, height } = svg.getBoundingClientRect();
  if (!samples.length || !width) return;
  const now = samples.at(-1)[0];
  const span = SPANS_S.find((s) => s >= now - samples[0][0]) || SPANS_S.at(-1);
  const recent = samples.filter(([at]) => at >= now - span);
  const most = Math.max(...recent.map((sample) => sample[1]), ...recent.map((sample) => sample[2]));
  // A budget far above would flatten what there is to see: then it is named, not drawn.
  const isNear = budget <= most * 4;
  const highest = Math.max(isNear ? budget : 0, most, MIB) * 1.12;
  const x = (at) => EDGE.left + (1 - (now - at) / span) * (width - EDGE.left - EDGE.right);
  const y = (bytes) => height - EDGE.bottom - (bytes / highest) * (height - EDGE.top - EDGE.bottom);
  const line = (column) => recent.map((sample) => `${x(sample[0]).toFixed(1)},${y(sample[column]).toFixed(1)}`).join(" ");
  const parts = [];
  const by = step(highest / MIB) * MIB;
  for (let bytes = 0; bytes <= highest; bytes += by) {
    parts.push(part("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(bytes), y2: y(bytes) }));
    parts.push(part("text", { x: EDGE.left - 8, y: y(bytes) + 4, "text-anchor": "end" }, shown(bytes)));
  }
  for (const [ago, anchor] of [[span, "start"], [span / 2, "middle"], [0, "end"]]) {
    const text = ago >= 120 ? `${ago / 60} min ago` : ago ? `${ago} s ago` : "now";
    parts.push(part("text", { x: x(now - ago), y: height - 4, "text-anchor": anchor }, text));
  }
  const base = y(0);
  parts.push(part("polygon", { class: "area", points: `${x(recent[0][0])},${base} ${line(1)} ${x(now)},${base}` }));
  parts.push(part("polyline", { class: "process", points: line(1) }));
  parts.push(part("polyline", { class: "models", points: line(2) }));
  if (isNear) parts.push(part("line", { class: "budget", x1: EDGE.left, x2: width - EDGE.right, y1: y(budget), y2: y(budget) }));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [, rss, models] = recent.at(-1);
  svg.setAttribute("aria-label", `Memory over time: now ${shown(rss)} in the process, ${shown(models)} of it for models; the budget is ${shown(budget)}.`);
  svg.replaceChildren(...parts);
}
