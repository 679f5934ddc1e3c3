// Settings against scores: parallel lines, one setting at a time, two at a time.

const LOOK = { displayModeBar: false, responsive: true, doubleClick: false };
const SHADES = ["#b4cee3", "#86aecf", "#5788b5", "#33628f", "#1c3f63"];
const STANDS_OUT = "#d55e00", CHANCE = "#b4530a";
const FONT = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", size: 13, color: "#1f2a37" };
const AXIS = { automargin: true, gridcolor: "#e9edf1", linecolor: "#c5ced6", showline: true, zeroline: false, ticks: "outside", ticklen: 4, tickcolor: "#c5ced6", fixedrange: true };
const MOST_TICKS = 12, CELLS = 8;

// Plotly reads a little HTML in what it writes.
const inert = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const brief = (text, most = 18) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
// From 0 to 1, spread evenly whatever the count, and the same each time.
const apart = (number) => (number * 0.618034) % 1;

function laidOut(x, y, more) {
  return {
    font: FONT, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 8, r: 12, t: 8, b: 8 },
    autosize: true, dragmode: false, hovermode: "closest", showlegend: false,
    hoverlabel: { bgcolor: "white", bordercolor: "#c5ced6", font: { color: "#1f2a37" } },
    xaxis: { ...AXIS, ...x }, yaxis: { ...AXIS, ...y }, ...more,
  };
}

// Where the values of a setting stand, from 0 to `end`: few numbers by size, evenly apart, for they are often powers;
// words by name; many numbers as they are, or by their logarithm. `cells` are what a map of two settings counts them into.
function scaleOf(data, place) {
  const values = [...new Set(data.rows.map((row) => row.settings[place]))].sort((a, b) => compared(a, b, false));
  if (values.length > MOST_TICKS && values.every((value) => typeof value === "number")) return measured(values);
  const places = new Map(values.map((value, position) => [value, position]));
  const at = (value) => places.get(value), cells = values.map(spoken);
  const every = Math.max(1, Math.ceil(values.length / MOST_TICKS));
  const marks = cells.map((text, position) => [position, text]).filter(([position]) => position % every === 0);
  return { end: values.length - 1, at, marks, cells, cell: at, cellMarks: marks };
}

function measured(values) {
  const low = values[0], high = values.at(-1), powers = low > 0 && high / low > 20;
  const [rise, back] = powers ? [Math.log10, (x) => 10 ** x] : [(x) => x, (x) => x];
  const start = rise(low), step = (rise(high) - start) / CELLS;
  const at = (value) => (rise(value) - start) / step;
  const edges = [...Array(CELLS + 1).keys()].map((i) => spoken(Number(back(start + i * step).toPrecision(2))));
  const cells = edges.slice(1).map((edge, i) => `${edges[i]} to ${edge}`);
  return {
    end: CELLS, at, marks: round(low, high, powers).map((value) => [at(value), spoken(value)]),
    cells, cell: (value) => Math.min(CELLS - 1, Math.floor(at(value))), cellMarks: cells.map((text, i) => [i, text]),
  };
}

// Round numbers of a range, a few.
function round(low, high, powers) {
  if (!powers) {
    const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((by) => by * unit).find((each) => each >= rough);
    const first = Math.ceil(low / step);
    return [...Array(Math.floor(high / step) - first + 1).keys()].map((i) => Number(((first + i) * step).toPrecision(12)));
  }
  const decades = [...Array(Math.ceil(Math.log10(high / low)) + 2).keys()].map((i) => Math.floor(Math.log10(low)) + i);
  const found = (of) => decades.flatMap((d) => of.map((m) => Number(`${m}e${d}`))).filter((v) => v >= low && v <= high);
  return decades.length > 5 ? found([1]) : found([1, 2, 5]);
}

const marked = (marks, most) => ({ tickvals: marks.map(([position]) => position), ticktext: marks.map(([, text]) => inert(brief(text, most))) });

class Charts {
  constructor(table) {
    this.table = table;
    this.data = table.data;
    this.scales = this.data.settings.map((_, place) => scaleOf(this.data, place));
  }

  get metric() { return this.data.metrics[this.table.metric]; }

  get scored() { return this.table.rows.filter((row) => this.table.score(row)); }

  about(row) {
    const settings = this.data.settings.map((name, place) => `${inert(name)} ${inert(spoken(row.settings[place]))}`);
    const [mean, low, high, n] = this.table.score(row);
    const spread = low === null ? "" : ` (${this.table.said(low)} to ${this.table.said(high)}, n ${n})`;
    return [`<b>${this.table.said(mean)}</b>${spread}`, ...settings.slice(0, 8)].join("<br>");
  }

  get titleText() {
    const { title, unit } = this.metric;
    return inert(title + (unit ? ` (${unit})` : ""));
  }

  // What is near the window is drawn at once, the rest when it comes there.
  watch() {
    this.stale = new Set();
    this.charts = new Map();
    const add = (id, made) => { if (byId(id)) this.charts.set(id, made); };
    add("parallel", () => this.parallel());
    this.scales.forEach((_, place) => add(`against-${place}`, () => this.against(place)));
    add("heat", () => this.heat());
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.fresh(target.id);
    }, { rootMargin: "300px" });
    for (const id of this.charts.keys()) seen.observe(byId(id));
    addEventListener("beforeprint", () => { for (const id of this.charts.keys()) this.fresh(id); });
  }

  fresh(id) {
    if (this.stale.delete(id)) this.charts.get(id)();
  }

  draw() {
    for (const id of this.charts.keys()) this.stale.add(id);
    for (const id of this.charts.keys()) {
      const { top, bottom } = byId(id).getBoundingClientRect();
      if (top < innerHeight + 300 && bottom > -300) this.fresh(id);
    }
  }

  // Shades from the worst to the best fifth.
  shade(rows) {
    const sign = this.metric.larger_is_better ? 1 : -1;
    const order = [...rows].sort((a, b) => sign * (this.table.score(a)[0] - this.table.score(b)[0]));
    return new Map(order.map((row, place) => [row, Math.min(SHADES.length - 1, Math.floor((place / rows.length) * SHADES.length))]));
  }

  parallel() {
    const rows = this.scored;
    const shades = this.shade(rows);
    const means = rows.map((row) => this.table.score(row)[0]);
    const low = Math.min(...means), span = Math.max(...means) - low || 1;
    const last = this.data.settings.length;
    const number = new Map(rows.map((row, place) => [row, place]));
    // Lines through the same value lie beside each other.
    const height = (row, place) => {
      if (place === last) return (this.table.score(row)[0] - low) / span;
      const scale = this.scales[place], beside = (apart(number.get(row) + 1) - 0.5) * Math.min(0.08, 0.6 / (scale.end + 1));
      return beside + (scale.end ? scale.at(row.settings[place]) / scale.end : 0.5);
    };
    const most = Math.max(4, Math.floor(byId("parallel").clientWidth / (last + 2) / 7));
    const places = [...Array(last + 1).keys()];
    const traces = SHADES.map((color, level) => {
      const own = rows.filter((row) => shades.get(row) === level);
      return {
        type: "scatter", mode: "lines", x: own.flatMap(() => [...places, null]), hoverinfo: "skip",
        y: own.flatMap((row) => [...places.map((place) => height(row, place)), null]),
        line: { color, width: own.length > 40 ? 1 : 1.5 }, opacity: own.length > 40 ? 0.4 : 0.9,
      };
    });
    traces.push({
      type: "scatter", mode: "markers", x: rows.map(() => last), y: rows.map((row) => height(row, last)),
      marker: { size: 7, color: rows.map((row) => (row.best && this.table.metric === 0 ? STANDS_OUT : SHADES[shades.get(row)])) },
      text: rows.map((row) => this.about(row)), hoverinfo: "text",
    });
    const marks = this.scales.flatMap((scale, place) => {
      const { tickvals, ticktext } = marked(scale.marks, most);
      return tickvals.map((position, i) => this.mark(place, scale.end ? position / scale.end : 0.5, ticktext[i]));
    });
    if (rows.length) marks.push(this.mark(last, 0, this.table.said(low)), this.mark(last, 1, this.table.said(low + span)));
    const names = [...this.data.settings, this.metric.title.split(",")[0]].map((name) => inert(brief(name)));
    const x = { tickvals: places, ticktext: names, range: [-0.35, last + 0.45], ticklabeloverflow: "allow", showline: false, ticks: "", gridcolor: "#c5ced6" };
    return Plotly.react("parallel", traces, laidOut(x, { visible: false, range: [-0.06, 1.06] }, { annotations: marks }), LOOK);
  }

  mark(x, y, text) {
    return { x, y, text, showarrow: false, xanchor: "left", xshift: 5, font: { size: 11, color: "#56636f" }, bgcolor: "rgba(255,255,255,0.75)", borderpad: 1 };
  }

  against(place) {
    const rows = this.scored, scale = this.scales[place];
    const few = rows.length <= 120;
    const score = rows.map((row) => this.table.score(row));
    // Side by side where several rows share a value, in an order that does not change; else upon it.
    const count = new Map();
    for (const row of rows) count.set(row.settings[place], (count.get(row.settings[place]) || 0) + 1);
    const x = rows.map((row, number) => scale.at(row.settings[place]) + (count.get(row.settings[place]) > 1 ? (apart(number) - 0.5) * 0.45 : 0));
    const spread = { type: "data", symmetric: false, visible: few, thickness: 1, width: 2, color: "#9aa5b1",
      array: score.map((each) => (each[2] === null ? 0 : each[2] - each[0])), arrayminus: score.map((each) => (each[1] === null ? 0 : each[0] - each[1])) };
    const trace = {
      type: "scatter", mode: "markers", x, y: score.map((each) => each[0]), error_y: spread, text: rows.map((row) => this.about(row)), hoverinfo: "text",
      marker: { size: few ? 7 : 5, opacity: few ? 0.9 : 0.6, color: rows.map((row) => (row.best && this.table.metric === 0 ? STANDS_OUT : "#33628f")) },
    };
    const shapes = this.metric.chance.map((y) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: CHANCE, width: 1.5, dash: "dash" }, visible: this.near(y, score) }));
    const xaxis = { ...marked(scale.marks), title: { text: inert(this.data.settings[place]), standoff: 8 }, range: [-0.5, scale.end + 0.5] };
    return Plotly.react(`against-${place}`, [trace], laidOut(xaxis, { title: { text: brief(this.titleText), standoff: 8 }, nticks: 6 }, { shapes }), LOOK);
  }

  // Chance is drawn where it does not press the scores together.
  near(chance, score) {
    const means = score.map((each) => each[0]);
    const low = Math.min(...means), high = Math.max(...means);
    return chance > low - 3 * (high - low) && chance < high + 3 * (high - low);
  }

  heat() {
    const [across, up] = ["heat-x", "heat-y"].map((id) => Number(byId(id).value));
    const [x, y] = [this.scales[across], this.scales[up]];
    const sums = y.cells.map(() => x.cells.map(() => [0, 0]));
    for (const row of this.scored) {
      const cell = sums[y.cell(row.settings[up])][x.cell(row.settings[across])];
      cell[0] += this.table.score(row)[0];
      cell[1] += 1;
    }
    const z = sums.map((line) => line.map(([sum, n]) => (n ? sum / n : null)));
    const cells = z.flatMap((line, j) => line.map((value, i) => ({ value, i, j }))).filter(({ value }) => value !== null);
    const told = sums.map((line, j) => line.map(([, n], i) => `<b>${this.table.said(z[j][i])}</b> (${n} row${n === 1 ? "" : "s"})<br>${inert(this.data.settings[across])} ${inert(x.cells[i])}<br>${inert(this.data.settings[up])} ${inert(y.cells[j])}`));
    const colours = ["#f6f9fc", "#dbe7f1", ...SHADES];
    const scale = (this.metric.larger_is_better ? colours : colours.toReversed()).map((colour, i) => [i / (colours.length - 1), colour]);
    const trace = { type: "heatmap", x: x.cells.map((_, i) => i), y: y.cells.map((_, i) => i), z, text: told, hoverinfo: "text", colorscale: scale, xgap: 2, ygap: 2, colorbar: { thickness: 14, outlinewidth: 0, title: { text: brief(this.titleText), side: "right" } } };
    const few = cells.length <= 60 && x.cells.length <= 10;
    const middle = cells.length ? (Math.min(...cells.map((c) => c.value)) + Math.max(...cells.map((c) => c.value))) / 2 : 0;
    const annotations = few ? cells.map(({ value, i, j }) => ({ x: i, y: j, text: this.table.said(value), showarrow: false, font: { color: (value > middle) === this.metric.larger_is_better ? "#fff" : "#1f2a37" } })) : [];
    const axes = [[x, across], [y, up]].map(([each, place]) => ({ ...marked(each.cellMarks), showgrid: false, title: { text: inert(this.data.settings[place]), standoff: 8 } }));
    return Plotly.react("heat", [trace], laidOut(...axes, { annotations }), LOOK);
  }
}
