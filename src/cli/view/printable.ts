/**
 * Text that comes from images, containers or other people's files, as a terminal may show it: what could move the cursor, set the clipboard or
 * turn words round is written out. Only the output of a container itself goes to the terminal as it is.
 */
export function printable(text: string): string {
  // Controls (all but line feed and tab) and marks that turn the direction of writing. Written here and not at the top: most
  // commands print nothing of the kind, and the two classes cost each start a third of a millisecond.
  return text.replace(/(?![\n\t])\p{Cc}|\p{Bidi_Control}|[\u2028\u2029]/gu, escaped);
}

/** In a cell of a table lines do not break either. */
export function printableCell(text: string): string {
  return printable(text).replace(/[\n\t]/g, escaped);
}

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
