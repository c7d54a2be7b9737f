/** Two digits in hexadecimal by the value of a byte, as they are written: the first in the upper byte. */
export const hexPairs = Uint16Array.from({ length: 256 }, (_, byte) => {
  const [first, second] = byte.toString(16).padStart(2, '0');
  return (first!.charCodeAt(0) << 8) | second!.charCodeAt(0);
});
