"use strict";
const nets = JSON.parse(document.getElementById("nets").textContent);
const stage = document.getElementById("stage");
const panel = document.querySelector("aside");
const search = document.getElementById("search");
const found = document.getElementById("found");
const phaseButtons = [...document.querySelectorAll("[data-show]")];
const state = { net: 0, selected: null, hits: [], hit: -1 };

const sheet = () => stage.children[state.net];
const svg = () => sheet().querySelector("svg");
const net = () => nets[state.net];
const groups = (index) => [...sheet().querySelectorAll(`.node[data-node="${index}"]`)];

// --- pan and zoom: the view is the rectangle of the drawing that fills the stage ---------------
const views = nets.map(() => null);

function size() {
  const box = svg().dataset;
  return { width: Number(box.width), height: Number(box.height) };
}

function setView(view) {
  views[state.net] = view;
  svg().setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
}

function fit(whole) {
  const { width, height } = size();
  const wide = stage.clientWidth, high = stage.clientHeight;
  if (!wide || !high) return;
  // a long drawing begins at its upper end, as wide as the stage, never larger than life
  let scale = Math.min(wide / width, high / height);
  if (!whole) scale = Math.min(1, Math.max(scale, Math.min(wide / width, 1)));
  const view = { width: wide / scale, height: high / scale };
  view.x = (width - view.width) / 2;
  view.y = whole || view.height > height ? (height - view.height) / 2 : 0;
  setView(view);
}

function zoom(factor, x, y) {
  const view = views[state.net];
  const width = Math.min(Math.max(view.width / factor, 60), 40 * Math.max(size().width, 400));
  const ratio = width / view.width;
  const fx = x === undefined ? 0.5 : x / stage.clientWidth;
  const fy = y === undefined ? 0.5 : y / stage.clientHeight;
  setView({
    x: view.x + view.width * fx * (1 - ratio),
    y: view.y + view.height * fy * (1 - ratio),
    width,
    height: view.height * ratio,
  });
}

function pan(dx, dy) {
  const view = views[state.net], scale = view.width / stage.clientWidth;
  setView({ ...view, x: view.x - dx * scale, y: view.y - dy * scale });
}

function centre(index) {
  const box = groups(index)[0].getBBox(), view = views[state.net];
  setView({
    ...view,
    x: box.x + box.width / 2 - view.width / 2,
    y: box.y + box.height / 2 - view.height / 2,
  });
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

const pointers = new Map();
let travelled = 0;
stage.addEventListener("pointerdown", (event) => {
  if (pointers.size === 0) travelled = 0;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
window.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = { x: event.clientX, y: event.clientY };
  if (pointers.size === 1) {
    travelled += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    if (travelled > 4) {
      stage.classList.add("dragging");
      pan(now.x - before.x, now.y - before.y);
    }
  } else {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const apart = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
    const box = stage.getBoundingClientRect();
    travelled = 100;
    zoom(apart(now) / apart(before), (now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top);
  }
  pointers.set(event.pointerId, now);
});
for (const name of ["pointerup", "pointercancel"]) {
  window.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (pointers.size === 0) stage.classList.remove("dragging");
  });
}

// --- selection ---------------------------------------------------------------------------------
stage.addEventListener("click", (event) => {
  if (travelled > 4) return;
  const group = event.target.closest(".node");
  select(group ? Number(group.dataset.node) : null);
});
stage.addEventListener("dblclick", (event) => {
  if (!event.target.closest(".node")) fit(true);
});

function select(index) {
  state.selected = index;
  for (const element of sheet().querySelectorAll(".selected, .touched")) {
    element.classList.remove("selected", "touched");
  }
  if (index !== null) {
    for (const group of groups(index)) group.classList.add("selected");
    for (const edge of sheet().querySelectorAll(".edge")) {
      const touches = Number(edge.dataset.from) === index || readers(edge).includes(index);
      edge.classList.toggle("touched", edge.dataset.from !== undefined && touches);
    }
  }
  describe();
  trace();
}

const readers = (edge) => (edge.dataset.to || "").split(" ").filter(Boolean).map(Number);

// the gradient that starts at the selected layer: all that lies behind it along gradient edges
function trace() {
  const root = sheet();
  for (const element of root.querySelectorAll(".traced")) element.classList.remove("traced");
  const start = state.selected;
  const on = stage.classList.contains("gradients") && start !== null;
  stage.classList.toggle("tracing", on);
  if (!on) return;
  const edges = [...root.querySelectorAll(".edge.gradient")];
  const reached = new Set([start]);
  for (let grown = true; grown;) {
    grown = false;
    for (const edge of edges) {
      const from = Number(edge.dataset.from);
      if (!reached.has(from) && readers(edge).some((i) => reached.has(i))) {
        reached.add(from);
        grown = true;
      }
    }
  }
  for (const edge of edges) {
    edge.classList.toggle("traced", readers(edge).some((i) => reached.has(i)));
  }
  for (const index of reached) for (const group of groups(index)) group.classList.add("traced");
}

// --- the panel ---------------------------------------------------------------------------------
function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function table(rows) {
  const element = make("table");
  for (const [head, value] of rows) {
    if (value === undefined || value === null || value === "" || value === 0) continue;
    const row = make("tr");
    row.append(make("th", head));
    const cell = make("td");
    cell.append(...(Array.isArray(value) ? value : [String(value)]));
    row.append(cell);
    element.append(row);
  }
  return element;
}

const many = (number) => (number ? number.toLocaleString("en") : "");
const bytes = (number) => (number < 1e5 ? number && `${number} bytes` : `${(number / 1e6).toFixed(2)} MB`);
const shape = (axes) => (axes === null ? "?" : axes.join("×") || "scalar");

function links(indices) {
  return indices.flatMap((index, i) => {
    const link = make("a", net().nodes[index].name);
    link.onclick = () => { select(index); centre(index); };
    return i ? [", ", link] : [link];
  });
}

function layerRows(layer) {
  return [
    ["line", layer.line && net().path ? `${net().path}:${layer.line}` : layer.line],
    ["settings", layer.settings.join(", ")],
    ["bottoms", layer.bottoms.join(", ")],
    ["tops", layer.tops.map((top) => `${top.name} ${shape(top.shape)}`).join(", ")],
    ["weights", layer.blobs.map(shape).join(", ")],
    ["parameters", many(layer.parameters)],
    ["multiply-adds", many(layer.multiply_adds)],
    ["memory", bytes(layer.memory)],
    ["loss weight", layer.loss_weights.some(Boolean) ? layer.loss_weights.join(", ") : ""],
    ["gradient", layer.backward ? "flows through it" : "none"],
  ];
}

function describe() {
  panel.replaceChildren();
  const node = state.selected === null ? null : net().nodes[state.selected];
  if (!node) return overview();
  panel.append(make("h2", node.name), make("p", node.type, "type"));
  if (node.status) panel.append(make("p", `${node.status} against ${net().compared}`, "change"));
  for (const change of node.changes) panel.append(make("p", change, "change"));
  if (node.trouble) panel.append(make("p", node.trouble, "wrong"));
  const rows = layerRows(node);
  rows.push(["from", links(node.from)], ["to", links(node.to)]);
  panel.append(table(rows.filter(([, value]) => !Array.isArray(value) || value.length)));
  for (const fold of node.folded) {
    panel.append(make("h3", `in place: ${fold.name} (${fold.type})`), table(layerRows(fold)));
  }
  panel.append(make("h3", "prototxt"));
  for (const text of [node.prototxt, ...node.folded.map((fold) => fold.prototxt)]) {
    panel.append(make("pre", text));
  }
}

function overview() {
  const it = net();
  panel.append(make("h2", it.name), make("p", it.path, "type"));
  panel.append(table([
    ["compared with", it.compared],
    ["phase", it.phase],
    ["layers", many(it.nodes.reduce((sum, node) => sum + 1 + node.folded.length, 0))],
    ["parameters", many(it.parameters)],
    ["multiply-adds", many(it.multiply_adds)],
  ]));
  panel.append(make("h3", "kinds"));
  for (const kind of it.kinds) {
    const line = make("div");
    const swatch = make("span", undefined, "swatch");
    swatch.style.background = kind.fill;
    swatch.style.borderColor = kind.line;
    line.append(swatch, kind.name);
    panel.append(line);
  }
  if (it.notes.length) panel.append(make("h3", "notes"));
  for (const note of it.notes) panel.append(make("p", note));
  panel.append(make("p", "Drag to move, turn the wheel to zoom, click a layer for all of it. " +
    "Keys: / searches, + − 0 zoom, g shows gradients, Esc lets go.", "type"));
}

// --- search ------------------------------------------------------------------------------------
function lookFor() {
  const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const texts = net().nodes.map((node) => [node, ...node.folded]
    .map((layer) => `${layer.name} ${layer.type} ${layer.settings.join(" ")}`).join(" ").toLowerCase());
  state.hits = words.length
    ? texts.flatMap((text, i) => (words.every((word) => text.includes(word)) ? [i] : [])) : [];
  state.hit = -1;
  sheet().classList.toggle("searching", words.length > 0);
  for (const group of sheet().querySelectorAll(".node")) {
    group.classList.toggle("hit", state.hits.includes(Number(group.dataset.node)));
  }
  found.textContent = words.length ? `${state.hits.length} found` : "";
}

function nextHit(step) {
  if (!state.hits.length) return;
  state.hit = (state.hit + step + state.hits.length) % state.hits.length;
  select(state.hits[state.hit]);
  centre(state.hits[state.hit]);
  found.textContent = `${state.hit + 1} of ${state.hits.length}`;
}

search.addEventListener("input", lookFor);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") { search.value = ""; lookFor(); search.blur(); }
});

// --- phases, gradients, keys -------------------------------------------------------------------
function show(index) {
  const name = state.selected === null ? null : net().nodes[state.selected].key;
  select(null);
  state.net = index;
  [...stage.children].forEach((child, i) => { child.hidden = i !== index; });
  phaseButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
  if (!views[index]) fit(false);
  lookFor();
  const same = net().nodes.findIndex((node) => node.key === name);
  select(same < 0 ? null : same);
}

const gradients = document.getElementById("gradients");
gradients.onclick = () => {
  const on = stage.classList.toggle("gradients");
  gradients.setAttribute("aria-pressed", String(on));
  trace();
};
phaseButtons.forEach((button, i) => { button.onclick = () => show(i); });
document.getElementById("larger").onclick = () => zoom(1.25);
document.getElementById("smaller").onclick = () => zoom(0.8);
document.getElementById("whole").onclick = () => fit(true);

const keys = {
  "/": () => search.focus(),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  "0": () => fit(true),
  g: () => gradients.click(),
  Escape: () => select(null),
  ArrowLeft: () => pan(60, 0),
  ArrowRight: () => pan(-60, 0),
  ArrowUp: () => pan(0, 60),
  ArrowDown: () => pan(0, -60),
};
window.addEventListener("keydown", (event) => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  const group = event.target.closest ? event.target.closest(".node") : null;
  if (group && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    select(Number(group.dataset.node));
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

for (const drawing of stage.querySelectorAll("svg")) {
  drawing.dataset.width = drawing.getAttribute("width");
  drawing.dataset.height = drawing.getAttribute("height");
  drawing.removeAttribute("width");
  drawing.removeAttribute("height");
  for (const group of drawing.querySelectorAll(".node")) {
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
  }
}
let fitted = false;
new ResizeObserver(() => {
  const view = views[state.net];
  if (!fitted || !view) {
    fit(false);
    fitted = Boolean(views[state.net]);
  } else {
    // keep the scale and the upper left corner
    const scale = view.width / (view.stage || stage.clientWidth);
    setView({ ...view, width: stage.clientWidth * scale, height: stage.clientHeight * scale });
  }
  views[state.net].stage = stage.clientWidth;
}).observe(stage);
show(0);
