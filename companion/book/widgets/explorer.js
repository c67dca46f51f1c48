(() => {
  "use strict";
  const STOPS = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];

  // Blue (darker than before) over white (unchanged) to red (brighter), ends at +-limit.
  function colour(difference, limit) {
    const at = Math.min(1, Math.max(0, (difference / limit + 1) / 2)) * (STOPS.length - 1);
    const i = Math.min(STOPS.length - 2, Math.floor(at));
    return STOPS[i].map((low, c) => low + (at - i) * (STOPS[i + 1][c] - low));
  }

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function start(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const { width, height, limit, items } = data;
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    const sprites = items.map((item) => Object.assign(new Image(), { src: item.sprite }));
    const now = { item: 0, scanner: null, sex: null, blink: null };
    const panels = {};

    function tile(item, index) {
      const canvas = element("canvas", { width, height });
      canvas.getContext("2d").drawImage(
        sprites[item], index * width, 0, width, height, 0, 0, width, height);
      return canvas.getContext("2d").getImageData(0, 0, width, height);
    }

    function difference(after, before) {
      const out = new ImageData(width, height);
      let sum = 0;
      for (let i = 0; i < out.data.length; i += 4) {
        const d = after.data[i] - before.data[i];
        sum += Math.abs(d);
        out.data.set([...colour(d, limit), 255], i);
      }
      return [out, sum / (width * height)];
    }

    function panel(name, title) {
      const canvas = element("canvas", { width, height });
      canvas.setAttribute("role", "img");
      const caption = element("span");
      const frame = element("div", { className: "ccl-frame" }, canvas);
      const words = element("div", { className: "ccl-caption" },
        element("b", { textContent: title }), caption);
      const box = element("div", { className: "ccl-panel" }, frame, words);
      part("panels").append(box);
      panels[name] = { box, frame, canvas, caption, title };
    }

    function show(name, image, words) {
      const { box, canvas, caption, title } = panels[name];
      box.hidden = !image;
      if (!image) return;
      canvas.getContext("2d").putImageData(image, 0, 0);
      canvas.setAttribute("aria-label", `${title}: ${words}`);
      caption.textContent = words;
    }

    function compare() {
      const share = Number(part("slider").value);
      panels.compare.over.style.clipPath = `inset(0 0 0 ${share}%)`;
      panels.compare.caption.textContent = `left ${share} % real, right counterfactual`;
    }

    function draw() {
      const item = items[now.item];
      const key = JSON.stringify([now.scanner, now.sex]);
      const real = tile(now.item, 0);
      const made = item.counterfactuals[key] && tile(now.item, item.counterfactuals[key]);
      const truth = item.truths[key] && tile(now.item, item.truths[key]);
      const target = [now.scanner, now.sex].filter(Boolean).join(", ");
      const grey = (value) => `mean ${value.toFixed(1)} of 255`;
      const own = now.scanner === item.scanner && now.sex === item.sex;
      show("real", real, [item.scanner, item.sex].filter(Boolean).join(", "));
      show("made", made, `do(${target})`);
      const [change, changed] = made ? difference(made, real) : [];
      show("change", change, made && grey(changed));
      show("truth", truth, `do(${target})`);
      const [error, missed] = made && truth ? difference(made, truth) : [];
      show("error", error, made && truth && grey(missed));
      show("compare", real, "");
      if (made) panels.compare.over.getContext("2d").putImageData(made, 0, 0);
      panels.compare.canvas.setAttribute("aria-label", "real image under its counterfactual");
      compare();
      part("says").textContent = `${item.patient}: ${item.label}, taken with ${item.scanner}; `
        + (made ? `asked for ${target}` + (own ? " (nothing changed)." : ".")
          : `no counterfactual for ${target} was made.`);
    }

    function press(name, value) {
      for (const button of part(name).querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.value === String(value)));
      }
    }

    function choose(change) {
      Object.assign(now, change);
      const item = items[now.item];
      const known = (scanner, sex) => JSON.stringify([scanner, sex]) in item.counterfactuals;
      if (change.item !== undefined) {
        now.sex = item.sex;
        const others = data.scanners.filter((s) => s !== item.scanner && known(s, now.sex));
        if (!known(now.scanner, now.sex) || now.scanner === item.scanner) {
          now.scanner = others[0] ?? item.scanner;
        }
        part("patient").value = String(now.item);
      }
      for (const button of part("scanner").querySelectorAll("button")) {
        button.disabled = !known(button.value, now.sex);
        button.textContent = button.value + (button.value === item.scanner ? " (own)" : "");
      }
      for (const button of part("sex").querySelectorAll("button")) {
        button.disabled = !known(now.scanner, button.value);
        button.textContent = button.value + (button.value === item.sex ? " (own)" : "");
      }
      press("strip", now.item);
      press("scanner", now.scanner);
      press("sex", now.sex);
      draw();
    }

    function blink() {
      clearInterval(now.blink);
      now.blink = now.blink ? null : setInterval(() => {
        part("slider").value = Number(part("slider").value) < 50 ? 100 : 0;
        compare();
      }, 600);
      part("blink").setAttribute("aria-pressed", String(now.blink !== null));
    }

    function thumbnail(item, index) {
      const canvas = element("canvas", { width, height });
      canvas.getContext("2d").putImageData(tile(index, 0), 0, 0);
      const button = element("button", { type: "button", value: String(index) }, canvas);
      button.setAttribute("aria-label", `${item.patient}, ${item.label}, ${item.scanner}`);
      button.title = button.getAttribute("aria-label");
      button.addEventListener("click", () => choose({ item: index }));
      part("strip").append(button);
    }

    function options(name, values) {
      for (const value of values) {
        const button = element("button", { type: "button", value, textContent: value });
        button.addEventListener("click", () => choose({ [name]: value }));
        part(name).append(button);
      }
      part(name).closest("fieldset").hidden = values.length < 2;
    }

    function build() {
      items.forEach(thumbnail);
      items.forEach((item, index) => part("patient").append(
        element("option", { value: String(index), textContent: `${item.patient} (${item.label})` })));
      options("scanner", data.scanners);
      options("sex", data.sexes);
      panel("real", "Real");
      panel("made", "Counterfactual");
      panel("change", "Counterfactual − real");
      panel("compare", "Compare");
      panel("truth", "Truth");
      panel("error", "Counterfactual − truth");
      panels.compare.over = element("canvas", { width, height });
      panels.compare.over.setAttribute("aria-hidden", "true");
      panels.compare.frame.classList.add("ccl-stack");
      panels.compare.frame.append(panels.compare.over);
      panels.compare.frame.after(part("controls"));
      part("controls").hidden = false;
      part("patient").addEventListener("change", (e) => choose({ item: Number(e.target.value) }));
      part("slider").addEventListener("input", compare);
      part("blink").addEventListener("click", blink);
      choose({ item: 0 });
      part("body").hidden = false;
    }

    Promise.all(sprites.map((sprite) => sprite.decode())).then(build).catch((error) => {
      part("says").textContent = `The images of this explorer could not be shown: ${error.message}`;
    });
  }

  for (const root of document.querySelectorAll(".ccl-explorer:not([data-started])")) {
    root.dataset.started = "yes";
    start(root);
  }
})();
