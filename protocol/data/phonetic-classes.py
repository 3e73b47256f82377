"""Makes phonetic-classes.txt of the Unicode Character Database in XML (ucd.all.grouped.xml, or ucd.unihan.grouped.xml).

python3 phonetic-classes.py < ucd.all.grouped.xml > phonetic-classes.txt
"""

import re
import sys

phonetic, traditional = {}, {}
for line in sys.stdin:
    character = re.search(r'<char cp="([0-9A-F]{4})"', line)
    if character is None:
        continue
    for name, known in (("kPhonetic", phonetic), ("kTraditionalVariant", traditional)):
        values = re.search(rf'\b{name}="([^"]+)"', line)
        if values:
            known[int(character[1], 16)] = values[1].split()

members = {}
for character in [*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000)]:
    forms = [character, *(int(form[2:], 16) for form in traditional.get(character, []))]
    first = next((phonetic[form][0].rstrip("*x") for form in forms if form in phonetic), None)
    if first:
        members.setdefault(first, []).append(chr(character))

for name in sorted(members, key=lambda name: (int(name.rstrip("ABCD")), name)):
    print(name, "".join(members[name]))
