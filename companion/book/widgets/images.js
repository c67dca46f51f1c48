// Grey images as Uint8Array, and the colours of differences.

const STOPS = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];

// Blue (darker than before) over white (unchanged) to red (brighter), ends at +-limit.
function colour(difference, limit) {
  const at = Math.min(1, Math.max(0, (difference / limit + 1) / 2)) * (STOPS.length - 1);
  const i = Math.min(STOPS.length - 2, Math.floor(at));
  return STOPS[i].map((low, c) => low + (at - i) * (STOPS[i + 1][c] - low));
}

function greyImage(grey, width, height) {
  const out = new ImageData(width, height);
  for (let i = 0; i < grey.length; i++) out.data.set([grey[i], grey[i], grey[i], 255], 4 * i);
  return out;
}

// The difference in colours, and its mean size in grey levels.
function differenceImage(after, before, width, height, limit) {
  const out = new ImageData(width, height);
  let sum = 0;
  for (let i = 0; i < after.length; i++) {
    sum += Math.abs(after[i] - before[i]);
    out.data.set([...colour(after[i] - before[i], limit), 255], 4 * i);
  }
  return [out, sum / after.length];
}

// One of the images that lie side by side in a sprite.
function tile(sprite, index, width, height) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(sprite, index * width, 0, width, height, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]);
}

// A picture of any size as a grey image: its middle, in the frame's proportions, made smaller.
function fitted(picture, width, height) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  const scale = Math.max(width / picture.width, height / picture.height);
  const [w, h] = [picture.width * scale, picture.height * scale];
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, i) =>
    Math.round(0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]));
}
