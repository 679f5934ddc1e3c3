// The embedding: points in space or in the plane, turned, coloured, cut to a window of time.

const GHOST = "#aab5bf", PATH = "#8c99a5", RULED = "#d5dce2", INKED = "#1f2a37";
const MAX_FLAT = 5000, MAX_PATH = 3000, MAX_TOLD = 8;
const EYE = { x: 1.34, y: -1.34, z: 0.76 };
const NO_AXIS = -1;

function hasWebgl() {
  return Boolean(document.createElement("canvas").getContext("webgl"));
}

// The whole box in view: on a narrow screen from further away.
function firstCamera(plot) {
  const away = Math.max(1, (1.3 * plot.clientHeight) / plot.clientWidth);
  const eye = { x: EYE.x * away, y: EYE.y * away, z: EYE.z * away };
  return { eye, up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: -0.12 } };
}

class Embedding {
  constructor(data, plot) {
    const { first, axes, colours, count, steps } = data;
    Object.assign(this, { data, plot, axes, colours, from: 0, to: count, webgl: hasWebgl() });
    this.steps = new Uint32Array(bytes(steps));
    this.unpacked = new Map();
    this.chosen = [first[0], first[1], first[2] ?? NO_AXIS];
    this.colour = Math.min(1, colours.length - 1);
    this.camera = firstCamera(plot);
  }

  get flat() {
    return !this.webgl || this.chosen[2] === NO_AXIS;
  }

  get whole() {
    return this.from === 0 && this.to === this.data.count;
  }

  timeText(i) {
    const { rate } = this.data;
    if (!rate) return `step ${this.steps[i]}`;
    return `${(this.steps[i] / rate).toFixed(rate > 100 ? 3 : rate > 5 ? 2 : 1)} s`;
  }

  // The values of an axis or a colouring.
  values(each) {
    if (!this.unpacked.has(each)) this.unpacked.set(each, numbers(each.values));
    return this.unpacked.get(each);
  }

  // What is known of one point: its time, its recording, its labels.
  told(i) {
    const lines = [this.data.rate ? `${this.timeText(i)} (step ${this.steps[i]})` : this.timeText(i)];
    const before = this.data.recordings.filter(([start]) => start <= this.steps[i]);
    if (before.length) lines.push(before.at(-1)[1]);
    for (const colour of this.colours.slice(1, 1 + MAX_TOLD)) {
      const value = this.values(colour)[i];
      const said = colour.classes ? colour.classes[Math.round(value)] : written(value, colour.values.step * 65534);
      lines.push(`${colour.name}: ${said}`);
    }
    return lines.join("\n");
  }

  // Positions that are drawn, of those in [from, to): in the plane fewer, for it is drawn as SVG.
  positions(from, to) {
    const every = this.flat ? Math.ceil((to - from) / MAX_FLAT) : 1;
    return Array.from({ length: Math.ceil((to - from) / every) }, (_, i) => from + every * i);
  }

  // A line through the window; a gap wherever time is broken.
  path() {
    if (this.whole || this.to - this.from > MAX_PATH) return [];
    const broken = new Set(this.data.breaks);
    return this.positions(this.from, this.to).flatMap((i) => (broken.has(i) ? [null, i] : [i]));
  }

  coordinates(positions) {
    const names = ["x", "y", "z"].slice(0, this.flat ? 2 : 3);
    const along = (k) => {
      const values = this.values(this.axes[this.chosen[k]]);
      return positions.map((i) => (i === null ? null : values[i]));
    };
    return Object.fromEntries(names.map((name, k) => [name, along(k)]));
  }

  traces() {
    const type = this.flat ? "scatter" : "scatter3d";
    this.drawn = this.positions(this.from, this.to);
    const size = (this.flat ? 1.6 : 1) * Math.min(4.5, Math.max(1.6, 200 / Math.sqrt(this.drawn.length)));
    const colour = this.colours[this.colour];
    const values = this.values(colour);
    const others = this.whole ? [] : this.positions(0, this.data.count);
    const marker = { size, line: { width: 0 }, opacity: this.flat ? 0.75 : 1 };
    const shades = { color: this.drawn.map((i) => values[i]), colorscale: colour.scale, cmin: colour.low, cmax: colour.high };
    return [
      { type, mode: "markers", hoverinfo: "skip", ...this.coordinates(others), marker: { ...marker, size: 0.7 * size, color: GHOST, opacity: 0.14 } },
      { type, mode: "lines", hoverinfo: "skip", ...this.coordinates(this.path()), line: { color: PATH, width: this.flat ? 1 : 2 } },
      { type, mode: "markers", hoverinfo: "none", ...this.coordinates(this.drawn), marker: { ...marker, ...shades } },
    ];
  }

  layout() {
    const time = this.axes.length - 1;
    const alike = !this.chosen.includes(time);
    const axis = (k, more) => ({ title: { text: this.axes[this.chosen[k]].name }, gridcolor: RULED, linecolor: RULED, zeroline: false, ...more });
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: INKED };
    const shared = { autosize: true, showlegend: false, hovermode: "closest", uirevision: "kept", paper_bgcolor: "rgba(0,0,0,0)", font };
    if (this.flat) {
      const line = { showline: true, ticks: "outside", tickcolor: RULED, automargin: true, nticks: 7 };
      const ratio = alike ? { scaleanchor: "x", scaleratio: 1 } : {};
      return { ...shared, margin: { l: 12, r: 12, t: 12, b: 12 }, dragmode: false, xaxis: axis(0, line), yaxis: axis(1, { ...line, ...ratio }) };
    }
    // On a phone tick labels would be too small to read, and push the titles out of the picture.
    const quiet = { showbackground: false, showspikes: false, nticks: 4, showticklabels: this.plot.clientWidth >= 560, tickfont: { size: 13, color: "#6b7783" } };
    const box = { xaxis: axis(0, quiet), yaxis: axis(1, quiet), zaxis: axis(2, quiet), aspectmode: alike ? "data" : "cube" };
    return { ...shared, margin: { l: 0, r: 0, t: 0, b: 0 }, scene: { ...box, camera: this.camera, dragmode: "turntable" } };
  }

  draw() {
    const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
    return Plotly.react(this.plot, this.traces(), this.layout(), config);
  }

  look(camera) {
    this.camera = camera;
    return this.flat ? undefined : Plotly.relayout(this.plot, { "scene.camera": camera });
  }

  // Turns by angles in radians and moves closer or away by a factor.
  turn(sideways, upwards, nearer) {
    const { x, y, z } = this.camera.eye;
    const reach = Math.hypot(x, y, z);
    const around = Math.atan2(y, x) + sideways;
    const above = Math.min(1.5, Math.max(-1.5, Math.asin(z / reach) + upwards));
    const level = (Math.cos(above) * reach) / nearer;
    const eye = { x: level * Math.cos(around), y: level * Math.sin(around), z: (Math.sin(above) * reach) / nearer };
    return this.look({ ...this.camera, eye });
  }
}
