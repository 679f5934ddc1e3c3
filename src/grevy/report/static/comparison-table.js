// The table of runs: sorted by any column, filtered by words and conditions, some rows at a time.

const ROWS_AT_ONCE = 100;
const NAMED = /^([^=<>]+)([=<>])(.*)$/;

const spoken = (value) => (value === null ? "–" : typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value));
const key = (name) => name.toLowerCase().replaceAll(" ", "_");

// Numbers by size, then words, and what is missing last, whichever way is sorted.
function compared(one, other, down) {
  if (one === null || other === null) return (one === null) - (other === null);
  const both = typeof one === "number" && typeof other === "number";
  const order = both
    ? one - other
    : typeof one === typeof other ? String(one).localeCompare(String(other), undefined, { numeric: true }) : typeof one === "number" ? -1 : 1;
  return down ? -order : order;
}

class Table {
  constructor(data, changed) {
    this.data = data;
    this.changed = changed;
    this.metric = 0;
    this.sorted = { column: "mean", down: data.metrics[0].larger_is_better };
    this.most = ROWS_AT_ONCE;
    this.range = 1;
    for (const row of data.rows) {
      row.text = [...row.settings.map(spoken), ...row.runs.map((run) => run.name)].join(" ").toLowerCase();
    }
    this.filter();
  }

  score(row) { return row.scores[this.metric]; }

  // What a column holds: a setting by its number, or one of the last four.
  value(row, column) {
    if (typeof column === "number") return row.settings[column];
    const score = this.score(row);
    if (column === "mean") return score ? score[0] : null;
    if (column === "spread") return score && score[1] !== null ? score[2] - score[1] : null;
    if (column === "n") return score ? score[3] : 0;
    return row.runs[0].name;
  }

  matches(row, words) {
    return words.every((word) => {
      const named = NAMED.exec(word);
      if (named === null) return row.text.includes(word);
      const [, name, sign, given] = named;
      const setting = this.data.settings.findIndex((each) => key(each) === name);
      const column = setting >= 0 ? setting : name;
      if (setting < 0 && !["mean", "n", "run"].includes(name)) return row.text.includes(word);
      const value = this.value(row, column);
      const number = Number(given);
      if (sign === "=") {
        return typeof value === "number" && given !== "" ? value === number : spoken(value).toLowerCase() === given;
      }
      return typeof value === "number" && given !== "" && (sign === "<" ? value < number : value > number);
    });
  }

  filter(text = "") {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.rows = this.data.rows.filter((row) => this.matches(row, words));
    this.sort();
  }

  sort() {
    const { column, down } = this.sorted;
    this.rows.sort((one, other) => {
      const order = compared(this.value(one, column), this.value(other, column), down);
      return order || one.group - other.group;
    });
    const means = this.data.rows.map((row) => this.value(row, "mean")).filter((each) => each !== null);
    this.range = means.length ? Math.max(...means) - Math.min(...means) || Math.abs(means[0]) : 1;
  }

  draw() {
    const { data } = this;
    const head = element("tr");
    const columns = [...data.settings.map((name, place) => [name, place]), ["mean", "mean"], ["over seeds", "spread"], ["n", "n"], ["report, by seed", "run"]];
    for (const [name, column] of columns) {
      const cell = element("th", column === "run" ? "words" : "");
      cell.scope = "col";
      const { down } = this.sorted;
      const own = this.sorted.column === column;
      cell.setAttribute("aria-sort", own ? (down ? "descending" : "ascending") : "none");
      const button = element("button", "sort", name + (own ? (down ? " ▼" : " ▲") : ""));
      button.type = "button";
      button.dataset.column = column;
      cell.append(button);
      head.append(cell);
    }
    const table = byId("table");
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...this.rows.slice(0, this.most).map((row) => this.drawn(row)));
    const hidden = this.rows.length - this.most;
    byId("more").hidden = hidden <= 0;
    byId("more").textContent = `Show ${Math.min(hidden, ROWS_AT_ONCE)} more of ${hidden}`;
    byId("count").textContent = `${this.rows.length} of ${data.rows.length} rows`;
  }

  said(value) { return written(value === null ? NaN : value, this.range); }

  drawn(row) {
    const line = element("tr", row.best && this.metric === 0 ? "main" : "");
    const score = this.score(row);
    for (const value of row.settings) line.append(element("td", "", spoken(value)));
    const mean = element("td", "", this.said(score ? score[0] : null));
    if (row.best && this.metric === 0) mean.append(element("span", "tag", "best"));
    line.append(mean);
    const spread = score && score[1] !== null ? `${this.said(score[1])} to ${this.said(score[2])}` : "–";
    line.append(element("td", "", spread), element("td", "", spoken(score ? score[3] : 0)));
    const runs = element("td", "words");
    for (const run of row.runs) {
      const made = element(run.href ? "a" : "span", "", run.seed === "" || row.runs.length === 1 ? run.name : run.seed);
      if (run.href) made.href = run.href;
      made.title = run.name;
      runs.append(made, " ");
    }
    line.append(runs);
    return line;
  }
}
