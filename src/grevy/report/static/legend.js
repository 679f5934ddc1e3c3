// The key to the colours: a list of classes, a wheel of angles, or a bar of numbers.

function drawLegend(place, colour) {
  const colours = colour.scale.map(([, each]) => each);
  if (colour.palette) place.replaceChildren(classList(colour));
  else if (colour.kind === "circular") place.replaceChildren(wheel(colour, colours));
  else place.replaceChildren(...bar(colour, colours));
}

function classList(colour) {
  const list = element("ul");
  colour.classes.forEach((name, code) => {
    const item = element("li");
    const swatch = element("span", "swatch");
    swatch.style.background = colour.palette[code];
    item.append(swatch, element("span", "", name));
    list.append(item);
  });
  return list;
}

// Angles start on the right and run against the clock, as in mathematics.
function wheel(colour, colours) {
  const place = element("div", "wheel");
  const ring = element("div", "ring");
  ring.style.background = `conic-gradient(from 90deg, ${colours.reverse().join(", ")})`;
  place.append(ring, ...colour.quarters.map((text) => element("span", "", text)));
  return place;
}

function bar(colour, colours) {
  const strip = element("div", "bar");
  strip.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  const ends = element("div", "ends");
  ends.append(...colour.ends.map((text) => element("span", "", text)));
  return [strip, ends];
}
