// The running gain that brings a stream to the level of the model: PastGain of speechjem/audio/level.py, for one
// channel. What it measures is heard above the rumble (speechjem/audio/rumble.py), whose filter is a chain of
// sections in direct form II transposed.

const ratio = (decibels) => 10 ** (decibels / 20);

class Above {
  constructor(sections) {
    this.sections = sections.map((taps) => ({ taps, first: 0, second: 0 }));
  }

  pass(sample) {
    for (const section of this.sections) {
      const [b0, b1, b2, , a1, a2] = section.taps;
      const out = b0 * sample + section.first;
      section.first = b1 * sample - a1 * out + section.second;
      section.second = b2 * sample - a2 * out;
      sample = out;
    }
    return sample;
  }
}

export class PastGain {
  constructor(settings) {
    this.settings = settings;
    this.above = new Above(settings.sections);
    this.filled = 0; // samples of the block that were heard
    this.power = 0; // their squares
    this.levels = []; // of the last blocks, in dB
    [this.from, this.to] = [settings.usual, settings.usual]; // at the beginning and at the end of the block
  }

  // The gains of samples.
  push(samples) {
    const { target, block } = this.settings;
    return Float32Array.from(samples, (sample) => {
      this.power += Math.fround(this.above.pass(sample)) ** 2;
      this.filled += 1;
      const level = this.from + (this.filled / block) * (this.to - this.from);
      if (this.filled === block) this.next();
      return ratio(target - level);
    });
  }

  next() {
    const { block, blocks, share, lowest } = this.settings;
    const level = 10 * Math.log10(Math.max(this.power / block, 1e-12));
    this.levels.push(Math.max(level, lowest));
    if (this.levels.length > blocks) this.levels.shift();
    const count = this.levels.length;
    const place = Math.min(Math.floor((count * share) / 100), count - 1);
    [this.from, this.to] = [this.to, [...this.levels].sort((a, b) => a - b)[place]];
    [this.filled, this.power] = [0, 0];
  }
}
