/** Charsets in which every byte below 0x80 that has a meaning in HTML or CSS stands for itself. */
const ASCII_BASED =
  /^(utf-?8|us-ascii|ascii|iso-?8859-?\d{1,2}|iso_8859-\d{1,2}|latin[1-9]|l[1-9]|windows-(125[0-8]|874|31j|949)|cp125[0-8]|x-cp125[0-8]|koi8-?[ru]?|macintosh|x-mac-(roman|cyrillic)|ibm866|cp866|tis-620|gb2312|gb_2312-80|gbk|gb18030|x-gbk|big5(-hkscs)?|euc-(jp|kr|tw|cn)|x-euc-jp|shift[_-]jis|sjis|ms_kanji|x-sjis|ks_c_5601-1987)$/i;

/** True for charsets whose text can be rewritten byte for byte; false for UTF-16, ISO-2022-JP and unknown ones. */
export function isAsciiCharset(name: string): boolean {
  return ASCII_BASED.test(name.trim());
}

/** The charset of a `Content-Type`; undefined where it names none. */
export function charsetOf(contentType: string): string | undefined {
  return /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]+))/i.exec(contentType)?.slice(1).find((name) =>
    name !== undefined
  );
}
