// Puts the page together: menus, keys and pointer for the embedding, then the other charts.

const TURN = 0.15, NEARER = 1.2;
const KEYS = {
  ArrowLeft: [-TURN, 0, 1], ArrowRight: [TURN, 0, 1], ArrowUp: [0, TURN, 1], ArrowDown: [0, -TURN, 1],
  "+": [0, 0, NEARER], "=": [0, 0, NEARER], "-": [0, 0, 1 / NEARER],
};

function menus(embedding) {
  const colour = byId("colour");
  const explain = () => drawLegend(byId("legend"), embedding.colours[embedding.colour]);
  colour.value = embedding.colour;  // a browser that reloads may have kept another
  colour.addEventListener("change", () => {
    embedding.colour = Number(colour.value);
    explain();
    embedding.draw();
  });
  explain();
  ["x", "y", "z"].forEach((name, k) => {
    const menu = byId(`axis-${name}`);
    menu.value = embedding.chosen[k];
    menu.addEventListener("change", () => {
      const { flat } = embedding;
      embedding.chosen[k] = Number(menu.value);
      return embedding.flat === flat ? embedding.draw() : redraw(embedding);
    });
  });
}

// Space and plane are different kinds of figure: what was drawn goes first.
async function redraw(embedding) {
  Plotly.purge(embedding.plot);
  await embedding.draw();
  watch(embedding);
}

// What is under the pointer, how the view was turned, and what can be done with it.
function watch(embedding) {
  const { plot, flat } = embedding;
  const tip = byId("embedding-tip");
  plot.on("plotly_hover", ({ points }) => {
    tip.textContent = embedding.told(embedding.drawn[points[0].pointNumber]);
    tip.hidden = false;
  });
  plot.on("plotly_unhover", () => { tip.hidden = true; });
  plot.on("plotly_relayout", (change) => {
    if (change["scene.camera"]) embedding.camera = change["scene.camera"];
  });
  plot.on("plotly_webglcontextlost", () => {
    flatOnly(embedding);
    redraw(embedding);
  });
  for (const button of byId("camera").children) button.disabled = flat;
  byId("embedding-help").textContent = flat
    ? `Point at it to see time and labels. In the plane at most ${MAX_FLAT} points are drawn.`
    : "Drag to turn, or focus it and use the arrow keys; + and − zoom, 0 resets. Point at it to see time and labels.";
}

function flatOnly(embedding) {
  embedding.webgl = false;
  byId("no-webgl").hidden = false;
  const depth = byId("axis-z");
  depth.value = NO_AXIS;
  depth.disabled = true;
}

function pointer() {
  const tip = byId("embedding-tip");
  const scene = tip.parentElement;
  scene.addEventListener("pointermove", (event) => {
    const box = scene.getBoundingClientRect();
    const x = event.clientX - box.left;
    const right = x > box.width / 2;
    tip.style.left = right ? "" : `${x + 16}px`;
    tip.style.right = right ? `${box.width - x + 16}px` : "";
    tip.style.top = `${event.clientY - box.top + 12}px`;
  });
  scene.addEventListener("pointerleave", () => { tip.hidden = true; });
}

function keys(embedding) {
  const reset = () => embedding.look(firstCamera(embedding.plot));
  embedding.plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || embedding.flat) return;
    if (event.key === "0") reset();
    if (!KEYS[event.key]) return;
    event.preventDefault();
    embedding.turn(...KEYS[event.key]);
  });
  byId("zoom-in").addEventListener("click", () => embedding.turn(0, 0, NEARER));
  byId("zoom-out").addEventListener("click", () => embedding.turn(0, 0, 1 / NEARER));
  byId("reset").addEventListener("click", reset);
}

async function start() {
  const embedding = new Embedding(parsed("space-data"), byId("embedding-plot"));
  menus(embedding);
  new Player(embedding);
  pointer();
  keys(embedding);
  if (!embedding.webgl) flatOnly(embedding);
  const waiting = new Map(Object.entries(parsed("chart-data")));
  printWell(waiting);
  copyButtons();
  await Promise.all([redraw(embedding), drawCharts(waiting)]);
  document.documentElement.dataset.drawn = "yes";
}

start();
