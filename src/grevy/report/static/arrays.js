// Arrays as the page carries them, and small helpers for what the page is made of.

function bytes(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer;
}

// Two bytes each: multiples of a step from the lowest on; the last level stands for nothing.
function numbers({ levels, low, step }) {
  const found = new Uint16Array(bytes(levels));
  return Float64Array.from(found, (level) => (level === 65535 ? NaN : low + step * level));
}

// As many decimals as the range of the values makes sense of.
function written(value, range) {
  if (!Number.isFinite(value)) return "–";
  const decimals = Math.min(6, Math.max(0, 3 - Math.ceil(Math.log10(range || 1))));
  const text = Math.abs(value) >= 1e7 || range < 1e-4 ? value.toPrecision(6) : value.toFixed(decimals);
  return text.replace("-", "\u2212");
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function parsed(id) {
  return JSON.parse(byId(id).textContent);
}
