// Makes an API key for a deployed server: the key on stderr, the SQL that stores its hash on stdout.
//   node scripts/new-key.ts production > key.sql && npx wrangler d1 execute hone --remote --file key.sql
import { newId } from "../src/store/ids.ts";
import { insertKeySql, newKey } from "../src/store/keys.ts";

const name = process.argv[2];
if (!name) {
  process.stderr.write("usage: node scripts/new-key.ts <account name>\n");
  process.exitCode = 2;
} else {
  const key = newKey();
  process.stdout.write(`${insertKeySql(newId("acc", Date.now()), name, key, Date.now())}\n`);
  process.stderr.write(`${key}\nThis key is shown once; only its hash is stored.\n`);
}
