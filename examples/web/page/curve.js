// The picture of the losses.

/** The most points of a line: losses beyond it are means of neighbours. */
const POINTS = 600;

function thinned(losses) {
  const group = Math.max(1, Math.ceil(losses.length / POINTS));
  const points = [];
  for (let from = 0; from < losses.length; from += group) {
    const part = losses.slice(from, from + group);
    points.push([from + part.length / 2, part.reduce((sum, loss) => sum + loss, 0) / part.length]);
  }
  return points;
}

/** A step of 1, 2 or 5 times a power of 10 that cuts a range into about four. */
function tick(range) {
  const raw = range / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 5].find(factor => factor * power >= raw) ?? 10);
}

/** Draws `losses` (one per step) and `validations` ({step, loss}) over `total` steps. */
export function drawCurve(canvas, { losses, validations, total }) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  const probe = document.createElement('i');
  canvas.parentElement.append(probe);
  const color = name => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = ['--line', '--quiet', '--accent', '--second'].map(color);
  probe.remove();
  const [line, quiet, accent, second] = colors;

  const points = thinned(losses);
  // The loss before the first step would flatten the rest.
  const later = validations.filter(({ step }) => step > 0);
  const values = [...points.map(([, loss]) => loss), ...later.map(({ loss }) => loss)];
  let [low, high] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [0, 0.1];
  const margin = Math.max((high - low) * 0.06, high * 0.01);
  [low, high] = [Math.max(0, low - margin), high + margin];
  const [left, right, top, bottom] = [52, 8, 8, 24];
  const x = step => left + (width - left - right) * step / Math.max(total, 1);
  const y = loss => top + (height - top - bottom) * (high - loss) / (high - low);

  pen.font = '12px system-ui, sans-serif';
  pen.textBaseline = 'middle';
  pen.lineWidth = 1;
  const step = tick(high - low);
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    pen.strokeStyle = line;
    pen.beginPath();
    pen.moveTo(left, y(value));
    pen.lineTo(width - right, y(value));
    pen.stroke();
    pen.fillStyle = quiet;
    pen.textAlign = 'right';
    pen.fillText(value.toFixed(digits), left - 8, y(value));
  }
  pen.fillStyle = quiet;
  pen.textAlign = 'left';
  pen.fillText('0', left, height - 9);
  pen.textAlign = 'right';
  if (total > 1) pen.fillText(`${total.toLocaleString('en')} steps`, width - right, height - 9);

  pen.strokeStyle = accent;
  pen.lineWidth = 1.5;
  pen.lineJoin = 'round';
  pen.beginPath();
  points.forEach(([at, loss]) => pen.lineTo(x(at), y(loss)));
  pen.stroke();
  pen.strokeStyle = pen.fillStyle = second;
  pen.lineWidth = 2;
  pen.beginPath();
  later.forEach(({ step, loss }) => pen.lineTo(x(step), y(loss)));
  pen.stroke();
  for (const { step, loss } of later) {
    pen.beginPath();
    pen.arc(x(step), y(loss), 3, 0, 2 * Math.PI);
    pen.fill();
  }
}
