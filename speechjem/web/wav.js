// WAV files with 16 bits, and what a file says about its own rate.

const text = (view, place, length) => String.fromCharCode(...new Uint8Array(view.buffer, place, length));

// Rate of a WAV or FLAC file in Hz. A browser decodes other formats at a rate that it is told.
export const rateOf = (buffer) => {
  const view = new DataView(buffer);
  if (view.byteLength < 44) return null;
  if (text(view, 0, 4) === "fLaC") return view.getUint32(18) >>> 12;
  if (text(view, 0, 4) !== "RIFF") return null;
  for (let place = 12; place + 16 <= view.byteLength;) {
    if (text(view, place, 4) === "fmt ") return view.getUint32(place + 12, true);
    const length = view.getUint32(place + 4, true);
    place += 8 + length + (length % 2);
  }
  return null;
};

// A recording as a file; `rows` has the samples of each channel.
export const wav = (rows, rate) => {
  const [channels, length] = [rows.length, rows[0].length];
  const view = new DataView(new ArrayBuffer(44 + 2 * channels * length));
  const write = (place, words) =>
    [...words].forEach((sign, i) => view.setUint8(place + i, sign.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * channels * rate, true);
  view.setUint16(32, 2 * channels, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, view.byteLength - 44, true);
  for (let i = 0, place = 44; i < length; i++) {
    for (let n = 0; n < channels; n++, place += 2) {
      view.setInt16(place, Math.round(Math.min(Math.max(32768 * rows[n][i], -32768), 32767)), true);
    }
  }
  return new Blob([view], { type: "audio/wav" });
};
