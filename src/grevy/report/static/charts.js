// The charts that the page carries ready made, the menus that switch between their traces, print.

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };
// On paper, in CSS pixels: the widths of the text, of half of it, and of the embedding beside its
// key; and how much lower charts are.
const PAPER = { wide: 660, half: 315, embedding: 490, lower: 0.8 };

// So many charts are drawn before the page counts as loaded, and all that its window shows: who
// takes a picture of it then finds them. Between others the page answers to its reader.
const AT_ONCE = 24;

async function drawCharts(waiting) {
  for (const [place, id] of [...waiting.keys()].entries()) {
    const inSight = byId(id).getBoundingClientRect().top < innerHeight;
    if (place >= AT_ONCE && !inSight) await new Promise((resume) => setTimeout(resume));
    drawChart(waiting, id);
  }
  for (const select of document.querySelectorAll("[data-choice]")) {
    select.addEventListener("change", () => choose(select));
  }
}

// Draws a chart, unless that was done; it is there when this returns.
function drawChart(waiting, id) {
  const chart = waiting.get(id);
  if (waiting.delete(id)) Plotly.newPlot(byId(id), chart.data, chart.layout, CONFIG);
}

// Shows the traces whose every choice is the one made; a trace without choices always shows.
function choose(select) {
  for (const id of select.dataset.charts.split(" ")) {
    const chart = byId(id);
    chart.made = { ...chart.made, [select.dataset.choice]: Number(select.value) };
    const visible = chart.data.map(({ meta }) =>
      Object.entries(meta || {}).every(([name, place]) => place === (chart.made[name] || 0)),
    );
    Plotly.restyle(chart, { visible });
  }
}

// What is not drawn yet is drawn. Charts have the width of the screen; paper has its own. A canvas cannot be drawn anew at once, so
// the embedding is scaled as it is.
function printWell(waiting) {
  const charts = () => [...document.querySelectorAll(".plot")].filter((each) => each.data);
  const embedding = byId("embedding-plot");
  addEventListener("beforeprint", () => {
    for (const id of [...waiting.keys()]) drawChart(waiting, id);
    for (const chart of charts()) {
      chart.screenHeight = chart.style.height;
      const height = Math.round(PAPER.lower * parseInt(chart.screenHeight));
      chart.style.height = `${height}px`;
      Plotly.relayout(chart, { width: chart.closest(".wide") ? PAPER.wide : PAPER.half, height });
    }
    embedding.style.height = `${embedding.clientHeight}px`;
    embedding.style.zoom = PAPER.embedding / embedding.clientWidth;
  });
  addEventListener("afterprint", () => {
    for (const chart of charts()) {
      chart.style.height = chart.screenHeight;
      Plotly.relayout(chart, { width: null, height: null, autosize: true });
    }
    embedding.style.height = embedding.style.zoom = "";
  });
}

function copyButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}
