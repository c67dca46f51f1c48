// The pair maker: a batch of eight pairs, what a trained encoder finds alike, and each term of NT-Xent.

const BATCH = 8;

// Terms of NT-Xent: for each view, the share of every view in its softmax, and its loss in nats.
function ntXent(similarity, temperature, masked) {
  const n = similarity.length;
  return similarity.map((row, i) => {
    const logits = row.map((s, j) => (masked && j === i ? -Infinity : s / temperature));
    const top = Math.max(...logits);
    const mass = logits.map((logit) => Math.exp(logit - top));
    const total = mass.reduce((a, b) => a + b, 0);
    const partner = (i + n / 2) % n;
    return { shares: mass.map((m) => m / total), loss: Math.log(total) + top - logits[partner] };
  });
}

function renderPairMaker({ model, el }) {
  const data = model.get("data");
  const { width, height, columns, strategies, encoders } = data;
  const now = { strategy: strategies[0].name, encoder: encoders[0].name, seed: 1, anchor: 0, tau: data.temperature };
  const { parts, part } = partsOf();
  const images = new Image();
  images.src = data.sprite;

  // Places in the pool of the eight pairs that were drawn.
  function batch() {
    const uniform = uniforms(now.seed);
    const places = Array.from({ length: data.pool }, (_, i) => [uniform(), i]);
    return places.sort((a, b) => a[0] - b[0]).slice(0, BATCH).map(([, i]) => i);
  }

  // Rows of the stored matrix: first views, then their partners.
  const views = () => [0, data.pool].flatMap((from) => batch().map((i) => from + i));

  function similarity() {
    const flat = encoders.find(({ name }) => name === now.encoder).similarities[now.strategy];
    const all = 2 * data.pool;
    const chosen = views();
    return chosen.map((i) => chosen.map((j) => flat[i * all + j] / 1000));
  }

  function thumbnail(view, canvas = element("canvas", { width, height })) {
    const at = data.offsets[now.strategy] + view;
    canvas.getContext("2d").drawImage(images, (at % columns) * width,
      Math.floor(at / columns) * height, width, height, 0, 0, width, height);
    return canvas;
  }

  const fact = (view) => data.facts[view];

  function drawViews() {
    const chosen = views();
    parts.views.replaceChildren(...chosen.map((view, i) => {
      const title = `view ${Math.floor(i / BATCH) + 1} of pair ${i % BATCH + 1}: ${fact(view)}`;
      const made = button("", () => choose(i), { title, "aria-label": title, value: String(i) });
      made.append(thumbnail(view));
      return made;
    }));
  }

  function drawMatrix(rows) {
    const n = rows.length;
    const context = parts.matrix.getContext("2d");
    const pixels = new ImageData(n, n);
    rows.forEach((row, i) => row.forEach((s, j) =>
      pixels.data.set([...colour(s, 1), 255], 4 * (i * n + j))));
    const small = element("canvas", { width: n, height: n });
    small.getContext("2d").putImageData(pixels, 0, 0);
    const cell = parts.matrix.width / n;
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, parts.matrix.width, parts.matrix.height);
    const frame = (i, j, w, style) => {
      context.strokeStyle = style;
      context.lineWidth = 2;
      context.strokeRect(j * cell + 1, i * cell + 1, w * cell - 2, cell - 2);
    };
    rows.forEach((_, i) => frame(i, (i + BATCH) % n, 1, "#009e73"));
    if (parts.mask.checked) {
      context.fillStyle = "#8a94a0";
      rows.forEach((_, i) => context.fillRect(i * cell, i * cell, cell, cell));
    }
    frame(now.anchor, 0, n, "#e69f00");
    parts.matrix.setAttribute("aria-label", `Similarity of ${n} views with each other; `
      + `row ${now.anchor + 1} is chosen.`);
  }

  function drawTerms({ shares, loss }, terms) {
    const chosen = views();
    const partner = (now.anchor + BATCH) % chosen.length;
    const order = shares.map((share, j) => [share, j]).sort((a, b) => b[0] - a[0])
      .filter(([, j]) => j !== now.anchor || !parts.mask.checked);
    parts.terms.replaceChildren(...order.map(([share, j]) => {
      const role = j === partner ? "its partner" : j === now.anchor ? "itself" : "";
      const bar = element("i", { className: role ? `ccl-${role.split(" ")[1] ?? role}` : "" });
      bar.style.width = `${100 * share}%`;
      return element("li", {}, thumbnail(chosen[j]),
        element("span", {}, [role, fact(chosen[j])].filter(Boolean).join(": ")),
        element("div", {}, bar), element("output", {}, `${(100 * share).toFixed(1)} %`));
    }));
    const mean = terms.reduce((so, term) => so + term.loss, 0) / terms.length;
    const others = chosen.length - (parts.mask.checked ? 1 : 0);
    parts.says.textContent = `View ${now.anchor + 1} (${fact(chosen[now.anchor])}) costs `
      + `${loss.toFixed(2)} nats; the batch costs ${mean.toFixed(2)} on average, and guessing among `
      + `${others} views ${Math.log(others).toFixed(2)}.`
      + (parts.mask.checked ? "" : " Without the mask each view is compared with itself, which is "
        + "always most alike: the loss rewards hardly anything else.");
  }

  function draw() {
    const rows = similarity();
    const terms = ntXent(rows, now.tau, parts.mask.checked);
    drawMatrix(rows);
    drawTerms(terms[now.anchor], terms);
    for (const [name, value] of [["views", now.anchor], ["strategy", now.strategy],
      ["encoder", now.encoder]]) {
      for (const each of parts[name].querySelectorAll("button")) {
        each.setAttribute("aria-pressed", String(each.value === String(value)));
      }
    }
  }

  function choose(anchor) {
    now.anchor = anchor;
    moveTo(parts.anchor, anchor);
    draw();
  }

  function start(change) {
    Object.assign(now, change);
    drawViews();
    draw();
  }

  function choices(name, title, options) {
    const row = part(name, element("div", { className: "ccl-row" }, ...options.map((option) =>
      button(option.label, () => start({ [name]: option.name }), { value: option.name }))));
    return element("fieldset", {}, element("legend", { textContent: title }), row);
  }

  function build() {
    part("mask", element("input", { type: "checkbox", checked: true }));
    parts.mask.addEventListener("change", draw);
    part("matrix", element("canvas", { width: 320, height: 320, role: "img" }));
    parts.matrix.addEventListener("click", (event) => choose(
      Math.min(2 * BATCH - 1, Math.floor(2 * BATCH * event.offsetY / parts.matrix.clientHeight))));
    const temperature = knob(part, "temperature", "Temperature τ",
      { min: -2, max: 0, step: 0.02, value: Math.log10(now.tau), say: (v) => (10 ** v).toFixed(3) },
      (v) => { now.tau = 10 ** v; draw(); });
    const anchor = knob(part, "anchor", "View that is asked about",
      { min: 0, max: 2 * BATCH - 1, step: 1, value: 0, say: (v) => `${v + 1}` }, choose);
    el.append(
      choices("strategy", "Pairs are made by", strategies),
      element("div", { className: "ccl-row" },
        button("Draw another eight", () => start({ seed: now.seed + 1 }))),
      part("views", element("div", { className: "ccl-views", role: "group", "aria-label":
        "First views, and under them their partners" })),
      choices("encoder", "Compared by the encoder of", encoders),
      element("div", { className: "ccl-pairs" },
        element("div", {}, parts.matrix, element("p", { className: "ccl-note", textContent:
          "Cosine similarity: red alike, blue opposed. Green frames: the partner." })),
        element("div", {}, temperature, anchor,
          element("label", {}, parts.mask, " Mask the diagonal (a view is not its own negative)"),
          part("says", element("p", { "aria-live": "polite" })))),
      part("terms", element("ol", { className: "ccl-terms", "aria-label":
        "Each view's share of the softmax, the largest first" })));
    start({});
  }

  return images.decode().then(build);
}
