// <speech-player> plays tracks that share one time and switches between them; <speech-chain> shows the frames of a
// chain. What they show is JSON in their attribute data-view, as views.py writes it. SPEECH_STYLE is player.css.
(() => {
  const SEEK = 1; // seconds an arrow key moves
  const DRIFT = 0.03; // seconds that two tracks may be apart while they play
  const PIXELS_PER_SECOND = 240; // at which names of phones can be read

  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  const draw = (tag, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  const axis = (...marks) =>
    make("div", { class: "axis", "aria-hidden": true }, ...marks.map((mark) => make("span", {}, mark)));

  const clock = (seconds) => {
    const tenths = Math.round(seconds * 10);
    return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
  };

  const waveform = (peaks, highest) => {
    const heights = peaks.map((peak) => Math.max(peak / highest, 0.01));
    const points = [
      ...heights.map((height, i) => `${i} ${1 - height}`),
      ...heights.map((height, i) => `${i} ${1 + height}`).reverse(),
    ];
    const box = {
      viewBox: `0 0 ${Math.max(peaks.length - 1, 1)} 2`,
      preserveAspectRatio: "none",
      "aria-hidden": true,
    };
    return draw("svg", box, draw("polygon", { points: points.join(" ") }));
  };

  // Gradio changes attributes and children of what is on the page already, rather than to put something new there:
  // an element draws again whenever its attribute changes, and keeps what it draws in a shadow tree of its own.
  class View extends HTMLElement {
    static observedAttributes = ["data-view"];

    constructor() {
      super();
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(SPEECH_STYLE);
      this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    }

    attributeChangedCallback() {
      this.disconnectedCallback();
      this.render(JSON.parse(this.dataset.view));
    }

    disconnectedCallback() {}
  }

  class Player extends View {
    render(view) {
      this.seconds = view.seconds;
      this.active = 0;
      this.names = view.tracks.map((track) => track.name);
      this.files = view.tracks.map((track) => track.file ?? decodeURIComponent(track.url.split("/").pop()));
      this.tracks = view.tracks.map((track) => make("audio", { src: track.url, preload: "auto" }));
      this.playheads = [];
      const content = [this.bar(view), this.body(view), this.panels(view), this.hint()];
      const root = make("div", { role: "group", "aria-label": "Player" }, ...this.tracks, ...content);
      this.shadowRoot.replaceChildren(root);
      for (const track of this.tracks) {
        track.addEventListener("ended", () => this.pause());
        track.addEventListener("error", () => this.complain());
      }
      root.addEventListener("keydown", (event) => this.press(event));
      this.choose(Math.min(1, view.tracks.length - 1)); // what came out
    }

    disconnectedCallback() {
      cancelAnimationFrame(this.frame);
      for (const track of this.tracks ?? []) track.pause();
    }

    bar(view) {
      this.button = make("button", { type: "button", class: "play", onclick: () => this.toggle() });
      this.choices = this.names.map((name, i) =>
        make("button", { type: "button", onclick: () => this.choose(i) }, name),
      );
      this.time = make("output", { class: "time" });
      this.download = make("a", { class: "download" }, "Download");
      const bar = make("div", { class: "bar" }, this.button);
      if (this.choices.length > 1) {
        bar.append(
          make("div", { class: "switch", role: "group", "aria-label": "Listen to" }, ...this.choices),
        );
      }
      bar.append(this.time, this.download);
      this.label(false);
      return bar;
    }

    body(view) {
      const highest = Math.max(...view.tracks.flatMap((track) => track.peaks), 1e-4);
      const gutter = make("div", { class: "gutter", "aria-hidden": true });
      this.timeline = make("div", {
        class: "timeline",
        role: "slider",
        tabindex: 0,
        "aria-label": "Position",
        "aria-valuemin": 0,
        "aria-valuemax": view.seconds.toFixed(1),
      });
      this.lanes = view.tracks.map((track, i) => {
        const lane = make("div", { class: "lane" }, waveform(track.peaks, highest));
        lane.addEventListener("pointerdown", () => this.choose(i));
        return lane;
      });
      this.timeline.append(...this.lanes);
      if (view.tracks.length > 1)
        gutter.append(...this.names.map((name) => make("span", { class: "lane" }, name)));
      if (view.segments.length) {
        this.timeline.style.width = `max(100%, ${Math.ceil(view.seconds * PIXELS_PER_SECOND)}px)`;
        this.timeline.append(this.phones(view.segments));
        gutter.append(make("span", { class: "lane" }), make("span", { class: "phones" }));
      }
      if (view.posteriors) {
        this.timeline.append(
          make("img", {
            class: "posteriors",
            src: view.posteriors.url,
            draggable: false,
            style: `height: calc(${view.posteriors.phones.length} * var(--row))`,
            alt: "Probability of every phone over time",
          }),
        );
        gutter.append(...view.posteriors.phones.map((phone) => make("span", { class: "row" }, phone)));
      }
      this.follow(this.timeline);
      this.scroller = make("div", { class: "scroller" }, this.timeline);
      return make("div", { class: "body" }, gutter, this.scroller);
    }

    phones(segments) {
      const spans = segments.map((segment) => {
        const { start, duration, phone, probability } = segment;
        const span = make("span", {
          title: `${phone}, ${start.toFixed(2)} s, probability ${probability.toFixed(2)}`,
        });
        span.style.left = `${(100 * start) / this.seconds}%`;
        span.style.width = `${(100 * duration) / this.seconds}%`;
        span.append(phone === "SIL" ? "" : phone);
        return span;
      });
      return make("div", { class: "phones" }, ...spans);
    }

    panels(view) {
      const figures = view.panels.map((panel) => {
        const image = make("img", { src: panel.url, alt: `Spectrogram: ${panel.title}`, draggable: false });
        const plot = make("div", { class: "plot" }, image);
        this.follow(plot);
        return make(
          "figure",
          {},
          make(
            "figcaption",
            {},
            panel.title,
            make("span", { class: "key" }, panel.scale[0], make("i"), panel.scale[1]),
          ),
          plot,
          axis("0 s", `0 to ${+panel.top.toFixed(2)} kHz`, `${view.seconds.toFixed(1)} s`),
        );
      });
      return make("div", { class: "panels" }, ...figures);
    }

    hint() {
      const choice = this.choices.length > 1 ? ", X switches" : "";
      return make("p", { class: "hint" }, `Keys: Space plays, ← and → move by ${SEEK} s${choice}.`);
    }

    // A playhead over a node, and a seek where the node is pressed or dragged.
    follow(node) {
      const playhead = make("div", { class: "playhead" });
      node.append(playhead);
      this.playheads.push(playhead);
      const seek = (event) => {
        const box = node.getBoundingClientRect();
        this.seek(((event.clientX - box.left) / box.width) * this.seconds);
      };
      node.addEventListener("pointerdown", seek);
      node.addEventListener("pointermove", (event) => event.buttons & 1 && seek(event));
    }

    get position() {
      return this.tracks[this.active].currentTime;
    }

    toggle() {
      if (this.tracks[this.active].paused) this.play();
      else this.pause();
    }

    play() {
      const start = this.position >= this.seconds - 0.01 ? 0 : this.position;
      // All play, and one is heard: a switch then makes no gap.
      for (const track of this.tracks) {
        track.currentTime = start;
        track.play().catch(() => {}); // it was paused before it began; what cannot be played says so itself
      }
      this.label(true);
      const step = () => {
        this.show();
        this.frame = requestAnimationFrame(step);
      };
      cancelAnimationFrame(this.frame);
      step();
    }

    pause() {
      cancelAnimationFrame(this.frame);
      for (const track of this.tracks) track.pause();
      this.label(false);
      this.show();
    }

    seek(seconds) {
      const position = Math.min(Math.max(seconds, 0), this.seconds);
      for (const track of this.tracks) track.currentTime = position;
      this.show(position);
    }

    choose(index) {
      const position = this.position;
      this.active = index;
      this.tracks.forEach((track, i) => {
        track.muted = i !== index;
        if (Math.abs(track.currentTime - position) > DRIFT) track.currentTime = position;
        this.choices[i].setAttribute("aria-pressed", i === index);
        this.lanes[i].classList.toggle("active", i === index);
      });
      this.download.href = this.tracks[index].src;
      this.download.download = this.files[index];
      this.download.setAttribute("aria-label", `Download ${this.names[index]}`);
      this.show(position);
    }

    press(event) {
      const actions = {
        " ": () => this.toggle(),
        ArrowLeft: () => this.seek(this.position - SEEK),
        ArrowRight: () => this.seek(this.position + SEEK),
        Home: () => this.seek(0),
        End: () => this.seek(this.seconds),
        x: () => this.choose((this.active || this.tracks.length) - 1),
      };
      const action = actions[event.key];
      if (
        !action ||
        event.ctrlKey ||
        event.metaKey ||
        (event.key === " " && event.target.tagName === "BUTTON")
      )
        return;
      event.preventDefault();
      action();
    }

    show(position = this.position) {
      const share = (100 * Math.min(position, this.seconds)) / this.seconds;
      for (const playhead of this.playheads) playhead.style.left = `${share}%`;
      this.time.textContent = `${clock(position)} / ${clock(this.seconds)}`;
      this.timeline.setAttribute("aria-valuenow", position.toFixed(1));
      this.timeline.setAttribute(
        "aria-valuetext",
        `${position.toFixed(1)} seconds, ${this.names[this.active]}`,
      );
      const { scrollLeft, clientWidth } = this.scroller;
      const x = (share / 100) * this.timeline.clientWidth;
      if (!this.tracks[this.active].paused && (x < scrollLeft || x > scrollLeft + clientWidth - 20)) {
        this.scroller.scrollLeft = x - 20;
      }
    }

    label(playing) {
      this.button.textContent = playing ? "❚❚" : "▶";
      this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    }

    complain() {
      this.time.textContent = "This browser cannot play the recording; download it.";
    }
  }

  class Chain extends View {
    render(view) {
      this.view = view;
      const { images, energies, steps, seconds } = view;
      this.image = make("img", { alt: "Log-mel frames of the chain", draggable: false });
      this.caption = make("figcaption");
      const frames = make(
        "figure",
        {},
        this.caption,
        make("div", { class: "plot" }, this.image),
        axis("0 s", `${seconds.toFixed(1)} s`),
      );
      if (images.length > 1) {
        const slider = make("input", {
          type: "range",
          min: 0,
          max: images.length - 1,
          value: images.length - 1,
        });
        slider.addEventListener("input", () => this.show(+slider.value));
        frames.append(make("label", {}, "Step", slider));
      }
      const curve = make(
        "figure",
        {},
        make("figcaption", {}, "Energy"),
        this.curve(),
        axis("start", `step ${steps}`),
      );
      this.shadowRoot.replaceChildren(make("div", { class: "chain" }, frames, curve));
      this.show(energies.length - 1);
    }

    curve() {
      const { energies, steps } = this.view;
      const [low, high] = [Math.min(...energies), Math.max(...energies)];
      this.places = energies.map((energy, i) => [
        (100 * i) / Math.max(steps, 1),
        92 - (84 * (energy - low)) / Math.max(high - low, 1e-9),
      ]);
      const points = this.places.map(([x, y]) => `${x},${y}`).join(" ");
      this.dot = make("div", { class: "dot" });
      const lines = draw(
        "svg",
        { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": true },
        draw("polyline", { points }),
      );
      return make("div", { class: "curve" }, lines, this.dot);
    }

    show(step) {
      const { images, energies, steps } = this.view;
      this.image.src = images[images.length > 1 ? step : 0];
      const name = step ? `Step ${step} of ${steps}` : "Start";
      this.caption.textContent = `${name}, energy ${energies[step].toFixed(0)}`;
      [this.dot.style.left, this.dot.style.top] = this.places[step].map((share) => `${share}%`);
    }
  }

  customElements.define("speech-player", Player);
  customElements.define("speech-chain", Chain);
})();
