// Puts the page of a comparison together.

function start() {
  const table = new Table(parsed("comparison-data"));
  const charts = new Charts(table);
  const filter = byId("filter"), metric = byId("metric");
  let waiting = 0;
  const redraw = () => {
    table.draw();
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => charts.draw());
  };
  filter.value = "";  // a browser that reloads may have kept another
  metric.value = 0;
  filter.addEventListener("input", () => {
    table.most = ROWS_AT_ONCE;
    table.filter(filter.value);
    redraw();
  });
  metric.addEventListener("change", () => {
    table.metric = Number(metric.value);
    table.sorted = { column: "mean", down: table.data.metrics[table.metric].larger_is_better };
    table.filter(filter.value);
    redraw();
  });
  byId("table").addEventListener("click", (event) => {
    const button = event.target.closest("button.sort");
    if (!button) return;
    const column = /^\d+$/.test(button.dataset.column) ? Number(button.dataset.column) : button.dataset.column;
    const same = table.sorted.column === column;
    const best = column === "mean" && table.data.metrics[table.metric].larger_is_better;
    table.sorted = { column, down: same ? !table.sorted.down : best };
    table.sort();
    table.draw();
    byId("table").querySelector(`button[data-column="${column}"]`).focus();
  });
  byId("more").addEventListener("click", () => {
    table.most += ROWS_AT_ONCE;
    table.draw();
  });
  for (const id of ["heat-x", "heat-y"]) byId(id)?.addEventListener("change", () => charts.heat());
  table.draw();
  charts.watch();
  charts.draw();
  document.documentElement.dataset.drawn = "yes";
}

start();
