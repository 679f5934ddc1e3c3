// The charts that the page carries ready made, the menus that switch between their traces, print.

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };
// On paper, in CSS pixels: the widths of the text, of half of it, and of the embedding beside its
// key; and how much lower charts are.
const PAPER = { wide: 660, half: 315, embedding: 490, lower: 0.8 };

async function drawCharts(specifications) {
  for (const [id, { data, layout }] of Object.entries(specifications)) {
    await Plotly.newPlot(byId(id), data, layout, CONFIG);
    // Lets the page answer between one chart and the next.
    await new Promise((resume) => setTimeout(resume));
  }
  for (const select of document.querySelectorAll("[data-choice]")) {
    select.addEventListener("change", () => choose(select));
  }
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

// Charts have the width of the screen; paper has its own. A canvas cannot be drawn anew at once, so
// the embedding is scaled as it is.
function printWell() {
  const charts = () => [...document.querySelectorAll(".plot")].filter((each) => each.data);
  const embedding = byId("embedding-plot");
  addEventListener("beforeprint", () => {
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
