// The board of a FEN. What is wrong with a FEN, the module says.

export const POSITIONS = [
  ['start of a game', 'rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1'],
  ['White lacks its queen', 'rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNB1KBNR w KQkq - 0 1'],
  ['Black lacks a rook', '1nbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQk - 0 1'],
  ['Sicilian Defense', 'rnbqkbnr/pp1ppppp/8/2p5/4P3/8/PPPP1PPP/RNBQKBNR w KQkq c6 0 2'],
  ['middle game, Black to move', 'r1bq1rk1/ppp2ppp/2np1n2/2b1p3/2B1P3/2NP1N2/PPP2PPP/R1BQ1RK1 b - - 0 7'],
  ['rook against bishop', '8/5pk1/6p1/8/4b3/4P1P1/5PK1/R7 w - - 0 40'],
  ['king and pawn', '8/8/4k3/8/4P3/4K3/8/8 w - - 0 1'],
];

const SIGNS = { k: '♚', q: '♛', r: '♜', b: '♝', n: '♞', p: '♟' };
const NAMES = { k: 'king', q: 'queen', r: 'rook', b: 'bishop', n: 'knight', p: 'pawn' };

/** `w` or `b`. */
export function sideToMove(fen) {
  return fen.split(/\s+/)[1] === 'b' ? 'b' : 'w';
}

/** Shows the pieces of a FEN, with rank 8 at the top. Squares that it does not name stay empty. */
export function drawBoard(board, fen) {
  const squares = Array.from({ length: 64 }, (_, at) => {
    const square = document.createElement('span');
    if ((at + (at >> 3)) % 2 === 1) square.className = 'dark';
    return square;
  });
  const named = [];
  fen.split(/\s+/)[0].split('/').slice(0, 8).forEach((rank, row) => {
    let file = 0;
    for (const sign of rank) {
      if (/[1-8]/.test(sign)) file += Number(sign);
      else if (SIGNS[sign.toLowerCase()] && file < 8) {
        const white = sign !== sign.toLowerCase();
        const square = squares[8 * row + file];
        // The variant of text, because phones have a colored picture of a pawn.
        square.textContent = SIGNS[sign.toLowerCase()] + '\uFE0E';
        square.classList.add(white ? 'white' : 'black');
        named.push(`${white ? 'White' : 'Black'} ${NAMES[sign.toLowerCase()]} ${'abcdefgh'[file]}${8 - row}`);
        file += 1;
      }
    }
  });
  board.replaceChildren(...squares);
  board.setAttribute('aria-label', `Chess board: ${named.join(', ')}`);
}
