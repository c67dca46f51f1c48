// The conditional hierarchical VAE of ccl/generator/hvae.py: abduction and prediction, one image at a
// time. Parents are weights over the values of each variable: one-hot for a value that exists,
// anything between for none that does. Pixel noise is kept as its rank in (0, 1).

const GREY_BINS = 64, RANKS = 65, HALF_LEVEL = 1 / 255; // as in ccl/generator/pixel_noise.py

// Numbers in [0, 1), a hash of the image and the pixel's place (`pixel_noise._drawn`).
function hashed(x) {
  const sum = x.reduce((so, value, i) =>
    so + Math.round((value + 1) * 127.5) * (((i + 1) * 40503) % 65521), 0);
  const image = Math.imul(sum % 2 ** 32, 2654435761);
  return Float64Array.from(x, (_, i) => {
    let mixed = (image + Math.imul(i + 1, 2246822519)) >>> 0;
    for (const [shift, factor] of [[15, 2246822519], [13, 3266489917], [16, 668265263]]) {
      mixed = Math.imul(mixed ^ (mixed >>> shift), factor) >>> 0;
    }
    return mixed / 2 ** 32;
  });
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const grey = (x) => clamp(Math.round((x + 1) * 127.5), 0, 255);

// Weight of a pixel at a distance below 2 (Keys 1981, a = -0.75).
const cubic = (d) => d <= 1
  ? (1.25 * d - 2.25) * d * d + 1
  : -0.75 * (((d - 5) * d + 8) * d - 4);

// What a network is made of, by name, in the order in which it is read.
function layers(tensors) {
  const known = new Map();
  const made = (name, make) => {
    if (!known.has(name)) known.set(name, make());
    return known.get(name);
  };
  const affine = (name) => ({
    weight: tensors[`${name}.weight`].data, bias: tensors[`${name}.bias`].data,
  });
  return {
    has: (name) => `${name}.weight` in tensors,
    affine,
    convolution: (name) => made(name, () => {
      const weight = tensors[`${name}.weight`];
      const kernel = weight.shape[2];
      return { weight: channelsLast(weight), bias: affine(name).bias, kernel };
    }),
    linear(name, v) {
      const { weight, bias } = affine(name);
      return product(v, weight, bias, 1, v.length);
    },
    canvas: (i) => made(`canvas.${i}`, () => {
      const [c, h, w] = tensors[`canvas.${i}`].shape;
      return { h, w, c, data: channelsLast(tensors[`canvas.${i}`]) };
    }),
  };
}

// {abduct, predict} of a generator.json and its weights.
function openHvae(description, tensors) {
  const { hvae: options, height, width } = description;
  const variables = Object.keys(description.parents)
    .filter((name) => !description.indirect.includes(name));
  const net = layers(tensors);
  const pixels = height * width;
  const conv = (name, map) => convolve(map, net.convolution(name));

  function normed(name, map) {
    let groups = 1;
    for (let g = 1; g <= options.groups; g++) {
      if (map.c % g === 0 && 2 * g <= map.c) groups = g;
    }
    return groupNorm(map, groups, net.affine(name));
  }

  function block(name, h, e) {
    let y = conv(`${name}.reduce`, silu(normed(`${name}.norm`, h)));
    const modulation = net.linear(`${name}.modulation`, e); // scales, then shifts
    y = normed(`${name}.inner_norm`, y);
    for (let i = 0; i < y.data.length; i++) {
      y.data[i] = y.data[i] * (1 + modulation[i % y.c]) + modulation[y.c + i % y.c];
    }
    y = silu(y);
    if (net.has(`${name}.spatial.0`)) y = silu(conv(`${name}.spatial.0`, y));
    y = conv(`${name}.expand`, y);
    return add(y, net.has(`${name}.skip`) ? conv(`${name}.skip`, h) : h);
  }

  function embedding(parents) {
    const weights = variables.flatMap((name) => Array.from(parents[name]));
    const once = silu({ data: net.linear("embed.0", Float64Array.from(weights)) }).data;
    return silu({ data: net.linear("embed.2", once) }).data;
  }

  function encode(x, e) {
    let h = conv("stem", unshuffled({ h: height, w: width, data: x }, options.unshuffle));
    const last = options.stages.length - 1;
    return options.stages.map((stage, i) => {
      const size = net.canvas(last - i);
      if (h.h !== size.h || h.w !== size.w) h = pooled(h, size.h, size.w);
      for (let j = 0; net.has(`encoder.${i}.${j}.norm`); j++) h = block(`encoder.${i}.${j}`, h, e);
      return h;
    }).reverse();
  }

  // draw(loc, scale, state, features, name) gives z of each stochastic block in turn.
  function decode(e, draw) {
    let h = null;
    [...options.stages].reverse().forEach((stage, i) => {
      const canvas = net.canvas(i);
      const gain = net.linear(`canvas_by_parents.${i}`, e);
      const before = h;
      h = { ...canvas, data: canvas.data.map((value, k) => value * (1 + gain[k % canvas.c])) };
      if (before) {
        const wide = net.has(`widen.${i - 1}`) ? conv(`widen.${i - 1}`, before) : before;
        h = add(h, nearest(wide, h.h, h.w));
      }
      for (let j = 0; j < stage.decoder_blocks; j++) {
        h = decoderBlock(`decoder.${i}.${j}`, stage.latent_channels, h, e, (...prior) =>
          draw(...prior, h, i, `decoder.${i}.${j}`));
      }
    });
    return shuffled(conv("out", silu(normed("out_norm", h))), options.unshuffle).data;
  }

  function decoderBlock(name, latents, h, e, draw) {
    if (latents) {
      const prior = block(`${name}.prior`, h, e);
      const loc = channels(prior, h.c, latents);
      const scale = channels(prior, h.c + latents, latents);
      scale.data = scale.data.map(Math.exp);
      const z = { ...loc, data: draw(loc, scale) };
      h = add(add(channels(prior, 0, h.c), h), conv(`${name}.expand`, z));
    }
    return block(`${name}.residual`, h, e);
  }

  // A table's values (V, ...) for a value of a variable, or the mean of several.
  function ofValue(name, weights) {
    const table = tensors[name].data;
    const size = table.length / weights.length;
    const out = new Float64Array(size);
    weights.forEach((weight, v) => {
      if (weight) for (let k = 0; k < size; k++) out[k] += weight * table[v * size + k];
    });
    return out;
  }

  // To the average scanner and the commonest shape, and back.
  function maps(parents) {
    const [outer, inner] = [pixelMap(parents), registration(parents)];
    return { to: (x) => inner.to(outer.to(x)), from: (y) => outer.from(inner.from(y)) };
  }

  function registration(parents) {
    const by = parents[options.registered];
    if (!by) return { to: (x) => x, from: (y) => y };
    return {
      to: (x) => warped(x, ofValue("registration.to_grid", by)),
      from: (y) => warped(y, ofValue("registration.from_grid", by)),
    };
  }

  // An image taken from elsewhere, by cubic convolution between pixels (torch's `grid_sample`).
  function warped(x, grid) {
    const taps = (place, size) => {
      const at = (place + 1) / 2 * (size - 1);
      const low = Math.floor(at);
      return [-1, 0, 1, 2].map((k) => [clamp(low + k, 0, size - 1), cubic(Math.abs(at - low - k))]);
    };
    return Float64Array.from({ length: pixels }, (_, p) => {
      const columns = taps(grid[2 * p], width);
      let sum = 0;
      for (const [row, down] of taps(grid[2 * p + 1], height)) {
        for (const [column, right] of columns) sum += down * right * x[row * width + column];
      }
      return sum;
    });
  }

  function pixelMap(parents) {
    if (options.pixel_map === "none") return { to: (x) => x, from: (y) => y };
    const average = tensors["pixel_map.average"].data;
    const mean = ofValue("pixel_map.mean", parents.scanner);
    const ratio = ofValue("pixel_map.ratio", parents.scanner);
    return {
      to: (x) => x.map((value, p) => (value - mean[p]) / ratio[p] + average[p]),
      from: (y) => y.map((value, p) => (value - average[p]) * ratio[p] + mean[p]),
    };
  }

  // Where the quantiles of a grey level begin.
  const cell = (mu) => RANKS * clamp(Math.trunc((mu + 1) / 2 * GREY_BINS), 0, GREY_BINS - 1);
  const quantiles = (parents) => ofValue(
    "pixel_noise.quantiles", variables.includes("scanner") ? parents.scanner : [1]);

  // Rank of a residual among the quantiles of a cell, linear between them.
  function rankOf(table, start, residual) {
    let above = 0;
    while (above < RANKS && table[start + above] < residual) above++;
    above = clamp(above, 1, RANKS - 1);
    const left = table[start + above - 1];
    const apart = Math.max(1e-9, table[start + above] - left);
    return (above - 0.5 + clamp((residual - left) / apart, -0.5, 1.5)) / RANKS;
  }

  function pixelNoise(x, mu, parents) {
    if (options.pixel_noise === "fixed") return x.map((v, p) => (v - mu[p]) / options.pixel_scale);
    const table = quantiles(parents);
    const drawn = hashed(x);
    return x.map((value, p) => {
      const [low, high] = [-HALF_LEVEL, HALF_LEVEL].map((half) =>
        rankOf(table, cell(mu[p]), value - mu[p] + half));
      return clamp(low + (high - low) * drawn[p], 1e-4, 1 - 1e-4);
    });
  }

  // Pixel noise in grey: what is added to the mean image.
  function residuals(noise, mu, parents) {
    if (options.pixel_noise === "fixed") return noise.map((u) => options.pixel_scale * u);
    const table = quantiles(parents);
    return noise.map((rank, p) => {
      const place = clamp(rank * RANKS - 0.5, 0, RANKS - 1);
      const below = Math.min(Math.floor(place), RANKS - 2);
      const at = cell(mu[p]) + below;
      return table[at] + (table[at + 1] - table[at]) * (place - below);
    });
  }

  // The posterior's mean is a correction of the prior's.
  function posterior(features, e, kept) {
    return (loc, scale, h, i, name) => {
      const q = block(`${name}.posterior`, joined(h, features[i]), e);
      const z = loc.data.map((value, k) => {
        const pixel = Math.floor(k / loc.c);
        return value + q.data[pixel * q.c + k % loc.c];
      });
      kept.push(options.abduct === "latent"
        ? z : z.map((value, k) => (value - loc.data[k]) / scale.data[k]));
      return z;
    };
  }

  // What was abducted, under another prior: `kept` of it, and a share drawn anew that leaves the
  // variance as it is.
  function given(latents, { kept = 1, temperature = 0, seed = 1 }) {
    const stays = Math.sqrt(1 - temperature ** 2);
    const share = kept * options.posterior_share;
    let next = 0;
    return (loc, scale) => {
      const latent = latents[next++];
      const fresh = temperature ? normals(seed * 1000 + next, latent.length) : null;
      return latent.map((value, k) => {
        const own = options.abduct === "latent" ? value - loc.data[k] : scale.data[k] * value;
        const moved = fresh ? stays * own + temperature * scale.data[k] * fresh[k] : own;
        return loc.data[k] + share * moved;
      });
    };
  }

  function mean(latents, parents, how) {
    return maps(parents).from(decode(embedding(parents), given(latents, how)));
  }

  return {
    variables,
    // x in [-1, 1] -> {latents, noise}
    abduct(x, parents) {
      const e = embedding(parents);
      const map = maps(parents);
      const latents = [];
      let mu = map.from(decode(e, posterior(encode(map.to(x), e), e, latents)));
      if (options.posterior_share !== 1) mu = mean(latents, parents, {});
      return { latents, noise: pixelNoise(x, mu, parents) };
    },
    // {latents, noise} -> x' in [-1, 1]; `grain` times the pixel noise, drawn anew if `fresh`.
    predict({ latents, noise }, parents, how = {}) {
      const { grain = 1, fresh = false, seed = 1 } = how;
      const mu = mean(latents, parents, how);
      const added = residuals(fresh ? drawnNoise(seed) : noise, mu, parents);
      return mu.map((value, p) => clamp(value + grain * added[p], -1, 1));
    },
  };

  function drawnNoise(seed) {
    if (options.pixel_noise === "fixed") return normals(seed, pixels);
    const uniform = uniforms(seed);
    return Float64Array.from({ length: pixels }, uniform);
  }
}
