// The explorer: a patient, a target, the counterfactual. With weights, a network in the page makes
// it; without, images that were stored. `model.get` is all that is read, as anywidget has it.

const KNOBS = {
  grain: { name: "Pixel noise", value: 1, max: 1.5, say: (v) => `${Math.round(100 * v)} %` },
  temperature: {
    name: "Latents drawn anew (temperature)", value: 0, say: (v) => `${Math.round(100 * v)} %`,
  },
  kept: {
    name: "Patient (posterior) against average (prior)", value: 1,
    say: (v) => `${Math.round(100 * v)} % patient`,
  },
};

function renderExplorer({ model, el }) {
  const data = model.get("data");
  const weights = model.get("weights");
  const { width, height, limit, items } = data;
  const live = weights?.byteLength ? openHvae(data.generator, readSafetensors(weights)) : null;
  const variables = ["scanner", "sex"].filter((name) => data.values[name]?.length > 1);
  const now = {
    item: 0, target: {}, way: {}, how: { seed: 1, fresh: false }, other: null, edited: null,
    abducted: null, blink: null,
  };
  const { parts, part } = partsOf();
  const panels = {};
  const sprites = items.map((item) => Object.assign(new Image(), { src: item.sprite }));
  const stored = (item, index) => tile(sprites[item], index, width, height);

  // What is looked at: a patient's image, painted on or not, or a file of one's own.
  const subject = () => ({ ...items[now.item], grey: stored(now.item, 0), ...now.edited });


  // -- what is made ------------------------------------------------------------------------------

  function codes(values, chosen, way = 1, own = chosen) {
    return values.map((value) => way * (value === chosen) + (1 - way) * (value === own));
  }

  function abducted({ grey, parents }) {
    if (!now.abducted) {
      const own = Object.fromEntries(live.variables.map((name) =>
        [name, codes(data.generator.parents[name], parents[name])]));
      now.abducted = live.abduct(Float64Array.from(grey, (g) => g / 127.5 - 1), own);
    }
    return now.abducted;
  }

  function made(who) {
    if (!live) return storedImage(who, "counterfactuals");
    const asked = Object.fromEntries(live.variables.map((name) => [name, codes(
      data.generator.parents[name], now.target[name] ?? who.parents[name], now.way[name],
      who.parents[name])]));
    return Uint8Array.from(live.predict(abducted(who), asked, now.how), grey);
  }

  function storedImage(who, kind) {
    const at = who[kind][JSON.stringify([now.target.scanner ?? "", now.target.sex ?? ""])];
    return at === undefined ? null : stored(now.item, at);
  }

  // A truth is that of whole steps from the patient's own image and noise.
  function truth(who) {
    const { temperature, kept, fresh } = now.how;
    const whole = variables.every((name) => now.way[name] === 1 || who[name] === now.target[name]);
    return now.edited || !whole || temperature || kept < 1 || fresh
      ? null : storedImage(who, "truths");
  }

  // -- what is shown -----------------------------------------------------------------------------

  function show(name, image, words) {
    const { box, canvas, caption, title } = panels[name];
    box.hidden = !image;
    if (!image) return;
    canvas.getContext("2d").putImageData(
      image instanceof ImageData ? image : greyImage(image, width, height), 0, 0);
    canvas.setAttribute("aria-label", `${title}: ${words}`);
    caption.textContent = words;
  }

  function between(who) {
    return variables.filter((name) => now.way[name] > 0 && now.way[name] < 1
      && now.target[name] !== who.parents[name]);
  }

  function intervention(who) {
    return variables.map((name) => (between(who).includes(name)
      ? `${who.parents[name]} → ${now.target[name]} ${Math.round(100 * now.way[name])} %`
      : now.way[name] ? now.target[name] : who.parents[name])).join(", ");
  }

  function draw() {
    const who = subject();
    const start = performance.now();
    const image = made(who);
    const took = performance.now() - start;
    const true_ = image && truth(who);
    const target = intervention(who);
    const mean = (value) => `mean ${value.toFixed(1)} of 255`;
    const change = image && differenceImage(image, who.grey, width, height, limit);
    const error = true_ && differenceImage(image, true_, width, height, limit);
    show("real", who.grey, now.edited ? who.words : [who.scanner, who.sex].filter(Boolean).join(", "));
    show("made", image, `do(${target})`);
    show("change", change?.[0], change && mean(change[1]));
    show("compare", who.grey, "");
    show("truth", true_, `do(${target})`);
    show("error", error?.[0], error && mean(error[1]));
    show("other", now.other === null ? null : stored(now.other, 0), "gives scanner and sex");
    if (image) panels.compare.over.getContext("2d").putImageData(
      greyImage(image, width, height), 0, 0);
    compare();
    parts.says.textContent = sentence(who, image, target, took);
  }

  function sentence(who, image, target, took) {
    const from = `${who.patient}: ${who.label}, taken with ${who.scanner}; `;
    if (!image) return `${from}no counterfactual for ${target} was made.`;
    const unchanged = variables.every((name) =>
      now.target[name] === who.parents[name] || !now.way[name]);
    const half = between(who).length
      ? " Between two values that exist: no intervention on a scanner or sex that anybody has." : "";
    return `${from}asked for ${target}${unchanged ? " (nothing changed)" : ""}.${half}`
      + (live ? ` Computed here in ${Math.round(took)} ms.` : "");
  }

  function compare() {
    const share = Number(parts.slider.value);
    panels.compare.over.style.clipPath = `inset(0 0 0 ${share}%)`;
    panels.compare.caption.textContent = `left ${share} % real, right counterfactual`;
    panels.compare.canvas.setAttribute("aria-label", "Real image under its counterfactual");
  }

  // Many moves of a slider become one picture each time the page is painted.
  let waiting = false;
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  // -- what is chosen ----------------------------------------------------------------------------

  const known = (target) => live
    || JSON.stringify([target.scanner ?? "", target.sex ?? ""]) in items[now.item].counterfactuals;

  function press(name, value) {
    for (const each of parts[name].querySelectorAll("button")) {
      each.setAttribute("aria-pressed", String(each.value === String(value)));
    }
  }

  function look(item) {
    Object.assign(now, { item, edited: null, abducted: null, other: null });
    own?.paint(false);
    const { parents } = items[item];
    const before = now.target.scanner;
    now.target = { ...parents };
    const others = (data.values.scanner ?? []).filter((scanner) =>
      scanner !== parents.scanner && known({ ...now.target, scanner }));
    if (others.length) now.target.scanner = others.includes(before) ? before : others[0];
    parts.patient.value = String(item);
    if (parts.parents) parts.parents.value = "";
    press("strip", item);
    refresh();
  }

  function aim(change) {
    Object.assign(now.target, change);
    now.other = null;
    if (parts.parents) parts.parents.value = "";
    for (const name of Object.keys(change)) go(name, 1);
    refresh();
  }

  function go(name, way) {
    now.way[name] = way;
    if (!parts[`way-${name}`]) return;
    moveTo(parts[`way-${name}`], way);
  }

  function refresh() {
    const { parents } = subject();
    for (const name of variables) {
      for (const each of parts[name].querySelectorAll("button")) {
        each.disabled = !known({ ...now.target, [name]: each.value });
        each.textContent = each.value + (each.value === parents[name] ? " (own)" : "");
      }
      press(name, now.target[name]);
      if (live) parts[`way-${name}`].disabled = now.target[name] === parents[name];
    }
    draw();
  }

  function withParentsOf(index) {
    now.other = index;
    for (const name of variables) {
      now.target[name] = items[index].parents[name];
      go(name, 1);
    }
    refresh();
  }

  function reset() {
    Object.assign(now.how, { seed: 1, fresh: false });
    parts.fresh.checked = false;
    for (const [name, { value }] of Object.entries(KNOBS)) {
      now.how[name] = value;
      moveTo(parts[name], value);
    }
    draw();
  }

  function blink() {
    clearInterval(now.blink);
    now.blink = now.blink ? null : setInterval(() => {
      parts.slider.value = Number(parts.slider.value) < 50 ? 100 : 0;
      compare();
    }, 600);
    parts.blink.setAttribute("aria-pressed", String(now.blink !== null));
  }

  // -- one's own images --------------------------------------------------------------------------

  function edit(change, words) {
    now.edited = { words, ...now.edited, ...change };
    now.abducted = null;
    drawSoon();
  }

  const own = live && ownImages({
    el, part, parts, width, height, scanners: data.values.scanner ?? [""], subject, edit, refresh,
    parents: () => items[now.item].parents, back: () => look(now.item),
  });

  // -- how it is laid out ------------------------------------------------------------------------

  function panel(name, title) {
    const canvas = element("canvas", { width, height, role: "img" });
    const caption = element("span");
    const frame = element("div", { className: "ccl-frame" }, canvas);
    const words = element("div", { className: "ccl-caption" },
      element("b", { textContent: title }), caption);
    const box = element("div", { className: "ccl-panel", hidden: true }, frame, words);
    panels[name] = { box, frame, canvas, caption, title };
    return box;
  }

  function thumbnail(item, index) {
    const canvas = element("canvas", { width, height });
    canvas.getContext("2d").putImageData(greyImage(stored(index, 0), width, height), 0, 0);
    const title = `${item.patient}, ${item.label}, ${item.scanner}`;
    const made = button("", () => look(index), { value: String(index), title, "aria-label": title });
    made.append(canvas);
    return made;
  }

  function choice(name) {
    const row = part(name, element("div", { className: "ccl-row" }, ...data.values[name].map(
      (value) => button(value, () => aim({ [name]: value }), { value }))));
    const legend = element("legend", { textContent: `Target ${name}` });
    now.way[name] = 1;
    const way = live ? [knob(part, `way-${name}`, `From the own ${name} to the target`,
      { value: 1, say: (v) => `${Math.round(100 * v)} %` },
      (value) => { now.way[name] = value; drawSoon(); })] : [];
    return element("fieldset", {}, legend, row, ...way);
  }

  function knobs() {
    const sliders = Object.entries(KNOBS).map(([name, options]) => {
      now.how[name] = options.value;
      return knob(part, name, options.name, options, (value) => { now.how[name] = value; drawSoon(); });
    });
    const fresh = part("fresh", element("input", { type: "checkbox" }));
    fresh.addEventListener("change", () => { now.how.fresh = fresh.checked; draw(); });
    const again = button("Draw again", () => { now.how.seed += 1; draw(); });
    const names = items.map((item, i) => [String(i), `${item.patient} (${item.scanner})`]);
    return element("details", { className: "ccl-more" },
      element("summary", { textContent: "Noise and latents" }),
      select(part, "parents", "This patient's latents, with the scanner and sex of",
        [["", "the targets above"], ...names], (value) => value && withParentsOf(Number(value))),
      ...sliders,
      element("div", { className: "ccl-row" },
        element("label", {}, fresh, " Pixel noise drawn anew"), again, button("Back", reset)));
  }

  function build() {
    el.classList.add("ccl-widget", "ccl-explorer");
    part("strip", element("div", { className: "ccl-strip", role: "group", "aria-label": "Patients" },
      ...items.map(thumbnail)));
    const names = items.map((item, i) => [String(i), `${item.patient} (${item.label})`]);
    part("slider", element("input", {
      type: "range", min: 0, max: 100, value: 50,
      "aria-label": "Where the real image ends and its counterfactual begins, per cent",
    }));
    parts.slider.addEventListener("input", compare);
    part("blink", button("Blink", blink, { "aria-pressed": "false" }));
    part("says", element("p", { className: "ccl-says", "aria-live": "polite" }));
    el.append(
      parts.strip,
      element("div", { className: "ccl-panels" },
        panel("real", "Real"), panel("made", "Counterfactual"),
        panel("change", "Counterfactual − real")),
      parts.says,
      element("div", { className: "ccl-controls" },
        ...variables.map(choice),
        element("fieldset", {}, select(part, "patient", "Patient", names, (v) => look(Number(v)))),
        ...(live ? [knobs(), own.controls] : [])),
      element("div", { className: "ccl-panels" },
        panel("compare", "Compare"), panel("truth", "Truth"),
        panel("error", "Counterfactual − truth"), panel("other", "The other patient")),
      scale());
    const { frame, canvas } = panels.compare;
    panels.compare.over = element("canvas", { width, height, "aria-hidden": "true" });
    frame.classList.add("ccl-stack");
    frame.append(panels.compare.over);
    frame.after(parts.slider, parts.blink);
    canvas.setAttribute("aria-label", "Real image under its counterfactual");
    panels.real.frame.classList.add("ccl-stack");
    own?.listen(panels.real);
    look(0);
  }

  function scale() {
    return element("div", {
      className: "ccl-scale", role: "img",
      "aria-label": "Colours of differences: blue is darker, white unchanged, red brighter",
    }, element("i"),
    element("div", {}, ...[`−${limit}`, "0", `+${limit}`].map((t) => element("span", {}, t))),
    element("div", {}, ...["darker", "grey levels of 255", "brighter"].map((t) =>
      element("span", {}, t))));
  }

  return Promise.all(sprites.map((sprite) => sprite.decode())).then(build).catch((error) => {
    el.append(element("p", { textContent: `The explorer could not start: ${error.message}` }));
    throw error;
  });
}
