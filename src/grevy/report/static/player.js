// The window of time, and playing through it.

// The whole recording takes so long; readers who ask for less motion get pages, not a film.
const SECONDS = 24, PAUSE = 40, SLOW_PAUSE = 1200, ENDS = 1000;

class Player {
  constructor(embedding) {
    this.embedding = embedding;
    [this.length, this.start, this.button, this.text] = ["window-length", "window-start", "play", "window-text"].map(byId);
    this.timer = null;
    this.length.addEventListener("change", () => this.show());
    this.start.addEventListener("input", () => this.show());
    this.button.addEventListener("click", () => (this.timer === null ? this.play() : this.pause()));
    this.button.disabled = this.length.options.length < 2;
    this.cut();
  }

  get parts() {
    return Number(this.length.value);
  }

  // Takes the window from the controls.
  cut() {
    const { embedding } = this;
    const size = Math.round(embedding.data.count / this.parts);
    embedding.from = Math.round((Number(this.start.value) / ENDS) * (embedding.data.count - size));
    embedding.to = embedding.from + size;
    this.start.disabled = this.parts === 1;
    this.text.textContent = `${embedding.timeText(embedding.from)} to ${embedding.timeText(embedding.to - 1)}`;
    this.start.setAttribute("aria-valuetext", this.text.textContent);
  }

  show() {
    this.cut();
    return this.embedding.draw();
  }

  play() {
    if (this.parts === 1) this.length.selectedIndex = Math.min(3, this.length.options.length - 1);
    this.place = Number(this.start.value) % ENDS;
    this.last = performance.now();
    this.button.textContent = "Pause";
    this.text.setAttribute("aria-live", "off");
    this.timer = setTimeout(() => this.step(), 0);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.button.textContent = "Play";
    this.text.setAttribute("aria-live", "polite");
  }

  async step() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const now = performance.now();
    this.place += ENDS * (still ? 1 / Math.max(1, this.parts - 1) : (now - this.last) / 1000 / SECONDS);
    this.last = now;
    this.start.value = this.place;
    await this.show();
    if (this.timer === null) return;
    if (this.place >= ENDS) this.pause();
    else this.timer = setTimeout(() => this.step(), still ? SLOW_PAUSE : PAUSE);
  }
}
