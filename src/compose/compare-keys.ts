// The general pattern is large and takes V8 half a millisecond to build: only for what is not ASCII.
function isLetter(char: string): boolean {
  return char < '\x80' ? (char >= 'a' && char <= 'z') || (char >= 'A' && char <= 'Z') : /\p{L}/u.test(char);
}

/** Order of keys in rendered text: letters by code, runs of digits by value, other characters before letters. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let same = 0;
  while (same < length && a[same] === b[same]) same++;
  if (same === length) return a.length - b.length;
  const x = a.charAt(same);
  const y = b.charAt(same);
  const letters = Number(isLetter(x)) + Number(isLetter(y));
  if (letters === 2) return x < y ? -1 : 1;
  // After a digit a letter ends the number, and the shorter number comes first.
  if (letters === 1) return isLetter(x) === /\d/.test(a.charAt(same - 1)) ? -1 : 1;
  return compareNumbers(a.slice(same), b.slice(same)) || (x < y ? -1 : 1);
}

function compareNumbers(a: string, b: string): number {
  const x = /^\d*/.exec(a)?.[0] ?? '';
  const y = /^\d*/.exec(b)?.[0] ?? '';
  return Number(x) - Number(y) || x.length - y.length;
}
