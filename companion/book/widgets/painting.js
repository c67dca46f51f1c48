// Painting opacities on an image, by pointer or keyboard, and reading image files. What is painted or
// dropped stays in the page.

const BRUSH = 0.07; // radius as a share of the image's height
const LARGEST_FILE = 20e6; // bytes

// Adds a soft round opacity to a grey image; what is white stays white.
function paintOpacity(grey, width, height, x, y, strength) {
  const radius = BRUSH * height;
  for (let v = Math.max(0, Math.floor(y - radius)); v < Math.min(height, y + radius); v++) {
    for (let u = Math.max(0, Math.floor(x - radius)); u < Math.min(width, x + radius); u++) {
      const near = 1 - ((u + 0.5 - x) ** 2 + (v + 0.5 - y) ** 2) / radius ** 2;
      if (near > 0) grey[v * width + u] = Math.min(255, grey[v * width + u] + strength * near ** 2);
    }
  }
}

// Lets a canvas be painted on while `active()`; `paint(x, y)` is in pixels of the image. The arrow
// keys move a ring, the space bar paints under it.
function paintable(frame, canvas, active, paint) {
  const ring = element("i", { className: "ccl-ring", hidden: true });
  const at = { x: canvas.width / 2, y: canvas.height / 2 };
  frame.append(ring);
  const move = (x, y) => {
    at.x = Math.min(canvas.width, Math.max(0, x));
    at.y = Math.min(canvas.height, Math.max(0, y));
    ring.style.left = `${100 * at.x / canvas.width}%`;
    ring.style.top = `${100 * at.y / canvas.height}%`;
    ring.style.width = `${200 * BRUSH * canvas.height / canvas.width}%`;
  };
  const follow = (event) => {
    if (!active()) return;
    const box = canvas.getBoundingClientRect();
    move((event.clientX - box.left) * canvas.width / box.width,
      (event.clientY - box.top) * canvas.height / box.height);
    if (event.buttons) paint(at.x, at.y);
  };
  canvas.addEventListener("pointerdown", follow);
  canvas.addEventListener("pointermove", follow);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] };
    if (!active() || !(event.key in step || event.key === " ")) return;
    event.preventDefault();
    if (event.key === " ") paint(at.x, at.y);
    else move(at.x + step[event.key][0], at.y + step[event.key][1]);
  });
  return (on) => {
    move(at.x, at.y);
    ring.hidden = !on;
    canvas.tabIndex = on ? 0 : -1;
    canvas.style.touchAction = on ? "none" : "";
    canvas.style.cursor = on ? "crosshair" : "";
  };
}

async function readPicture(file) {
  if (!/^image\/(png|jpeg)$/.test(file.type)) throw new Error("it is neither PNG nor JPEG");
  if (file.size > LARGEST_FILE) throw new Error("it is larger than 20 MB");
  return createImageBitmap(file);
}
