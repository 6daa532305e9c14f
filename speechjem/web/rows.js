// Samples of one channel that come in pieces of any length, and go out in pieces of other lengths.

export const joined = (pieces) => {
  const whole = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let place = 0;
  for (const piece of pieces) {
    whole.set(piece, place);
    place += piece.length;
  }
  return whole;
};

export class Fifo {
  pieces = [];
  length = 0;

  push(piece) {
    this.pieces.push(piece);
    this.length += piece.length;
  }

  // The first `count` samples, or all there are; they stay.
  peek(count) {
    if (this.pieces.length !== 1) this.pieces = [joined(this.pieces)];
    return this.pieces[0].subarray(0, count);
  }

  // Takes out the first `count` samples, or all there are.
  pop(count) {
    const piece = this.peek(count);
    this.pieces = [this.pieces[0].subarray(piece.length)];
    this.length -= piece.length;
    return piece;
  }
}
