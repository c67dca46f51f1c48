(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const SIZE = 100; // units of a map's side
  const REACH = 6; // units within which a pointer finds an image

  function drawn(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function start(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    const sprite = Object.assign(new Image(), { src: data.sprite });
    const maps = data.maps.map(({ title, places }) => {
      const svg = drawn("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": title });
      const circles = places.map(([cx, cy]) => drawn("circle", { cx, cy, r: 1.1 }));
      svg.append(...circles);
      return { title, places, svg, circles };
    });

    function show(index) {
      for (const { svg, circles } of maps) {
        svg.querySelector(".ccl-now")?.classList.remove("ccl-now");
        for (const circle of circles) circle.setAttribute("r", 1.1);
        circles[index].classList.add("ccl-now");
        circles[index].setAttribute("r", 3);
        svg.append(circles[index]); // above the others
      }
      const { width, height, columns } = data;
      const canvas = part("image");
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").drawImage(
        sprite, (index % columns) * width, Math.floor(index / columns) * height, width, height,
        0, 0, width, height);
      part("says").textContent = data.facts[index];
      canvas.setAttribute("aria-label", data.facts[index]);
      part("slider").value = String(index);
    }

    function nearest({ svg, places }, event) {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * SIZE / box.width;
      const y = (event.clientY - box.top) * SIZE / box.height;
      let best = -1;
      let least = REACH;
      places.forEach(([cx, cy], index) => {
        const distance = Math.hypot(cx - x, cy - y);
        if (distance < least) [best, least] = [index, distance];
      });
      return best;
    }

    function colour(by) {
      const { names, codes, colours } = data.colourings[by];
      for (const { circles } of maps) {
        circles.forEach((circle, index) => circle.setAttribute("fill", colours[codes[index]]));
      }
      part("key").replaceChildren(...names.map((name, k) => {
        const entry = document.createElement("span");
        const dot = document.createElement("i");
        dot.style.background = colours[k];
        entry.append(dot, name);
        return entry;
      }));
      for (const button of part("by").children) {
        button.setAttribute("aria-pressed", String(button.value === by));
      }
    }

    function build() {
      for (const map of maps) {
        const caption = Object.assign(
          document.createElement("figcaption"), { textContent: map.title });
        const figure = document.createElement("figure");
        figure.append(caption, map.svg);
        part("maps").append(figure);
        const follow = (event) => {
          const found = nearest(map, event);
          if (found >= 0) show(found);
        };
        map.svg.addEventListener("pointermove", follow);
        map.svg.addEventListener("pointerdown", follow);
      }
      for (const by of Object.keys(data.colourings)) {
        const button = Object.assign(
          document.createElement("button"), { type: "button", value: by, textContent: by });
        button.addEventListener("click", () => colour(by));
        part("by").append(button);
      }
      part("slider").max = String(data.facts.length - 1);
      part("slider").addEventListener("input", (event) => show(Number(event.target.value)));
      part("seen").hidden = false;
      colour(Object.keys(data.colourings)[0]);
      show(0);
    }

    sprite.decode().then(build).catch((error) => {
      part("key").textContent = `The images of these maps could not be shown: ${error.message}`;
    });
  }

  for (const root of document.querySelectorAll(".ccl-projection:not([data-started])")) {
    root.dataset.started = "yes";
    start(root);
  }
})();
