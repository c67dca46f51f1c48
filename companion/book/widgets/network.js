// Layers of a convolutional network, on the CPU. A map is {h, w, c, data}, channels last, so that
// both factors of every product lie in memory in the order in which they are read.

const POWERS = Float64Array.from({ length: 32 }, (_, k) => 2 ** (k - 15));

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  return sign * (exponent ? POWERS[exponent] * (1 + fraction) : POWERS[1] * fraction);
}

// Name to {shape, data} of a safetensors file (F16 and F32) in a DataView.
function readSafetensors(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const size = { F16: 2, F32: 4 }[dtype];
    if (!size) throw new Error(`${name} is ${dtype}; F16 and F32 are read`);
    const data = new Float64Array((to - from) / size);
    for (let i = 0; i < data.length; i++) {
      const at = start + from + i * size;
      data[i] = size === 2 ? half(view.getUint16(at, true)) : view.getFloat32(at, true);
    }
    tensors[name] = { shape, data };
  }
  return tensors;
}

// (O, C, H, W), or without O, with the channels moved to the end.
function channelsLast({ shape, data }) {
  const [c, h, w] = shape.slice(-3);
  const area = h * w;
  const out = new Float64Array(data.length);
  for (let base = 0; base < data.length; base += c * area) {
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < area; p++) out[base + p * c + k] = data[base + k * area + p];
    }
  }
  return out;
}

const newMap = (h, w, c) => ({ h, w, c, data: new Float64Array(h * w * c) });

// out[p, o] = bias[o] + sum_k rows[p, k] weight[o, k]; four outputs of two rows stay in registers.
function product(rows, weight, bias, n, size) {
  const outputs = bias.length;
  const out = new Float64Array(n * outputs);
  for (let o = 0; o < outputs; o += 4) {
    const [w0, w1, w2, w3] = [0, 1, 2, 3].map((k) => Math.min(o + k, outputs - 1) * size);
    for (let p = 0; p < n; p += 2) {
      const a = p * size;
      const b = p + 1 < n ? a + size : a;
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let k = 0; k < size; k++) {
        const x = rows[a + k], y = rows[b + k];
        const u0 = weight[w0 + k], u1 = weight[w1 + k], u2 = weight[w2 + k], u3 = weight[w3 + k];
        a0 += x * u0; a1 += x * u1; a2 += x * u2; a3 += x * u3;
        b0 += y * u0; b1 += y * u1; b2 += y * u2; b3 += y * u3;
      }
      store(out, p * outputs + o, bias, o, a0, a1, a2, a3);
      if (p + 1 < n) store(out, (p + 1) * outputs + o, bias, o, b0, b1, b2, b3);
    }
  }
  return out;
}

function store(out, at, bias, o, s0, s1, s2, s3) {
  const left = bias.length - o;
  out[at] = s0 + bias[o];
  if (left > 1) out[at + 1] = s1 + bias[o + 1];
  if (left > 2) out[at + 2] = s2 + bias[o + 2];
  if (left > 3) out[at + 3] = s3 + bias[o + 3];
}

// The neighbourhood of each pixel as one row, zero outside of the map.
function patches({ h, w, c, data }, kernel) {
  if (kernel === 1) return data;
  const reach = kernel >> 1;
  const out = new Float64Array(h * w * kernel * kernel * c);
  let to = 0;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let dy = -reach; dy <= reach; dy++) {
        for (let dx = -reach; dx <= reach; dx++, to += c) {
          const inside = y + dy >= 0 && y + dy < h && x + dx >= 0 && x + dx < w;
          const from = ((y + dy) * w + x + dx) * c;
          if (inside) for (let k = 0; k < c; k++) out[to + k] = data[from + k];
        }
      }
    }
  }
  return out;
}

function convolve(map, { weight, bias, kernel }) {
  const { h, w, c } = map;
  const data = product(patches(map, kernel), weight, bias, h * w, kernel * kernel * c);
  return { h, w, c: bias.length, data };
}

function groupNorm({ h, w, c, data }, groups, { weight, bias }) {
  const size = c / groups;
  const out = newMap(h, w, c);
  for (let start = 0; start < c; start += size) {
    let sum = 0, squares = 0;
    for (let p = start; p < data.length; p += c) {
      for (let k = p; k < p + size; k++) { sum += data[k]; squares += data[k] * data[k]; }
    }
    const mean = sum / (h * w * size);
    const scale = 1 / Math.sqrt(Math.max(0, squares / (h * w * size) - mean * mean) + 1e-5);
    for (let p = 0; p < data.length; p += c) {
      for (let k = start; k < start + size; k++) {
        out.data[p + k] = (data[p + k] - mean) * scale * weight[k] + bias[k];
      }
    }
  }
  return out;
}

function silu(map) {
  const { data } = map;
  for (let i = 0; i < data.length; i++) data[i] /= 1 + Math.exp(-data[i]);
  return map;
}

function add(map, other) {
  for (let i = 0; i < map.data.length; i++) map.data[i] += other.data[i];
  return map;
}

// Channels from .. from + c - 1.
function channels(map, from, c) {
  const out = newMap(map.h, map.w, c);
  for (let p = 0; p < map.h * map.w; p++) {
    for (let k = 0; k < c; k++) out.data[p * c + k] = map.data[p * map.c + from + k];
  }
  return out;
}

function joined(a, b) {
  const out = newMap(a.h, a.w, a.c + b.c);
  for (let p = 0; p < a.h * a.w; p++) {
    for (let k = 0; k < a.c; k++) out.data[p * out.c + k] = a.data[p * a.c + k];
    for (let k = 0; k < b.c; k++) out.data[p * out.c + a.c + k] = b.data[p * b.c + k];
  }
  return out;
}

// Mean over the pixels that fall into each of h x w cells, which may overlap.
function pooled(map, h, w) {
  const out = newMap(h, w, map.c);
  const edges = (i, n, size) => [Math.floor(i * size / n), Math.ceil((i + 1) * size / n)];
  for (let y = 0; y < h; y++) {
    const [top, bottom] = edges(y, h, map.h);
    for (let x = 0; x < w; x++) {
      const [left, right] = edges(x, w, map.w);
      for (let k = 0; k < map.c; k++) {
        let sum = 0;
        for (let v = top; v < bottom; v++) {
          for (let u = left; u < right; u++) sum += map.data[(v * map.w + u) * map.c + k];
        }
        out.data[(y * w + x) * map.c + k] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return out;
}

function nearest(map, h, w) {
  const out = newMap(h, w, map.c);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const from = (Math.floor(y * map.h / h) * map.w + Math.floor(x * map.w / w)) * map.c;
      for (let k = 0; k < map.c; k++) out.data[(y * w + x) * map.c + k] = map.data[from + k];
    }
  }
  return out;
}

// Blocks of r x r pixels of a grey image as channels, and back.
function unshuffled({ h, w, data }, r) {
  const out = newMap(h / r, w / r, r * r);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const pixel = Math.floor(y / r) * out.w + Math.floor(x / r);
      out.data[pixel * r * r + (y % r) * r + (x % r)] = data[y * w + x];
    }
  }
  return out;
}

function shuffled(map, r) {
  const out = newMap(map.h * r, map.w * r, 1);
  for (let y = 0; y < out.h; y++) {
    for (let x = 0; x < out.w; x++) {
      const pixel = Math.floor(y / r) * map.w + Math.floor(x / r);
      out.data[y * out.w + x] = map.data[pixel * r * r + (y % r) * r + (x % r)];
    }
  }
  return out;
}
