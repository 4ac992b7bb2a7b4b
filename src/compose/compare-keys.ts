const LETTER = /\p{L}/u;

/** Order of keys in rendered text: letters by code, runs of digits by value, other characters before letters. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let same = 0;
  while (same < length && a[same] === b[same]) same++;
  if (same === length) return a.length - b.length;
  const x = a.charAt(same);
  const y = b.charAt(same);
  const letters = Number(LETTER.test(x)) + Number(LETTER.test(y));
  if (letters === 2) return x < y ? -1 : 1;
  // After a digit a letter ends the number, and the shorter number comes first.
  if (letters === 1) return LETTER.test(x) === /\d/.test(a.charAt(same - 1)) ? -1 : 1;
  return compareNumbers(a.slice(same), b.slice(same)) || (x < y ? -1 : 1);
}

function compareNumbers(a: string, b: string): number {
  const x = /^\d*/.exec(a)?.[0] ?? '';
  const y = /^\d*/.exec(b)?.[0] ?? '';
  return Number(x) - Number(y) || x.length - y.length;
}
