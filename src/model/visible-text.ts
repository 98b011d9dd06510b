/** Text from outside for a terminal or a page: control and direction characters are shown, not obeyed (W75). */
export function escapeControls(text: string): string {
  // eslint-disable-next-line no-control-regex -- matching control characters is the purpose
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (char) => {
    const known = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[char];
    return known ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
