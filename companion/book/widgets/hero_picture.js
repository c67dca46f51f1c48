// The landing page's picture: a line sweeps over a radiograph, and behind it the scanner changes.

const HOLD = 900, SWEEP = 2600; // milliseconds

function renderHeroPicture({ model, el }) {
  const { width, height, scanners, items } = model.get("data");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const now = { item: 0, from: 0, to: 1, share: 0.5, running: !still, started: null };
  const sprites = items.map(({ sprite }) => Object.assign(new Image(), { src: sprite }));
  const [under, over] = [0, 1].map(() => element("canvas", { width, height }));
  const captions = [0, 1].map(() => element("span"));
  const line = element("i", { className: "ccl-line" });
  const frame = element("div", { className: "ccl-frame ccl-stack", role: "img" }, under, over, line);
  const sweep = range("sweep", { min: 0, max: 100, step: 1, value: 50, say: (v) => `${v} %` }, (v) => {
    play(false);
    show(v / 100);
  });
  sweep.input.setAttribute("aria-label", "How much of the picture is of the other scanner");
  const playing = button("", () => play(!now.running));
  const next = button("Another patient", () => { now.item = (now.item + 1) % items.length; begin(); });

  const words = (scanner) => (scanner === items[now.item].own
    ? `real, ${scanners[scanner]}` : `do(scanner = ${scanners[scanner]})`);

  function paint(canvas, scanner) {
    const image = tile(sprites[now.item], scanner, width, height);
    canvas.getContext("2d").putImageData(greyImage(image, width, height), 0, 0);
  }

  function begin() {
    now.from = items[now.item].own;
    now.to = (now.from + 1) % scanners.length;
    pair();
  }

  function pair() {
    paint(under, now.from);
    paint(over, now.to);
    captions[0].textContent = words(now.to);
    captions[1].textContent = words(now.from);
    frame.setAttribute("aria-label", `A radiograph: ${words(now.from)}, and ${words(now.to)}`);
    now.started = null;
    show(now.running ? 0 : 0.5);
  }

  function show(share) {
    now.share = share;
    over.style.clipPath = `inset(0 ${100 - 100 * share}% 0 0)`;
    line.style.left = `${100 * share}%`;
    moveTo(sweep.input, Math.round(100 * share));
    captions[0].style.opacity = share > 0.02 ? 1 : 0;
    captions[1].style.opacity = share < 0.98 ? 1 : 0;
  }

  function step(time) {
    if (!now.running) return;
    now.started ??= time - now.share * SWEEP;
    const at = time - now.started;
    show(Math.min(1, at / SWEEP));
    if (at > SWEEP + HOLD) {
      now.from = now.to;
      now.to = (now.to + 1) % scanners.length;
      if (now.from === items[now.item].own) now.item = (now.item + 1) % items.length, begin();
      else pair();
    }
    requestAnimationFrame(step);
  }

  function play(on) {
    now.running = on;
    playing.textContent = on ? "Pause" : "Play";
    now.started = null;
    if (now.share >= 1) now.share = 0;
    if (on) requestAnimationFrame(step);
  }

  return Promise.all(sprites.map((sprite) => sprite.decode())).then(() => {
    el.append(frame, element("div", { className: "ccl-ends" }, ...captions), sweep.input,
      element("div", { className: "ccl-row" }, playing, next));
    begin();
    play(now.running);
  });
}
