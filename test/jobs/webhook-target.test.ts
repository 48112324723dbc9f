import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refusedTarget } from "../../src/jobs/webhook-target.ts";

const strict = { allowLoopback: false };
const local = { allowLoopback: true };

describe("webhook targets", () => {
  test.each([
    "https://example.com/hook",
    "https://example.com:8443/",
    "https://8.8.8.8/",
    "https://[2606:4700::1111]/",
  ])("public: %s", (url) => {
    expect(refusedTarget(url, strict)).toBeNull();
  });

  test.each([
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[0:0:0:0:0:ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
  ])("this machine, which only local development may reach: %s", (url) => {
    expect(refusedTarget(url, strict)).not.toBeNull();
    expect(refusedTarget(url, local)).toBeNull();
  });

  test.each([
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://3232235777/",
    "https://0xc0a80101/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[2001:0:1::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:c0a8:101::]/",
    "https://intranet/",
    "https://printer.local/",
    "https://db.internal/",
    "https://router.home.arpa/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://user:secret@example.com/",
    "nonsense",
    "",
    `https://example.com/${"a".repeat(2048)}`,
  ])("refused for everybody: %s", (url) => {
    expect(refusedTarget(url, strict)).not.toBeNull();
    expect(refusedTarget(url, local)).not.toBeNull();
  });

  test("http is for this machine only", () => {
    expect(refusedTarget("http://example.com/", local)).toBe("the address must begin with https://");
  });

  test("an IPv4 address is judged the same however it is written", () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(octet, octet, octet, octet, (a, b, c, d) => {
        const value = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
        const hex = value.toString(16).padStart(8, "0");
        const forms = [
          `${a}.${b}.${c}.${d}`,
          String(value),
          `0x${hex}`,
          `0${value.toString(8)}`,
          `${a}.${b}.${(c << 8) | d}`,
          `[::ffff:${a}.${b}.${c}.${d}]`,
          `[64:ff9b::${hex.slice(0, 4)}:${hex.slice(4)}]`,
          `[2002:${hex.slice(0, 4)}:${hex.slice(4)}::]`,
        ];
        const answers = forms.map((host) => refusedTarget(`https://${host}/`, strict) === null);
        expect(new Set(answers).size).toBe(1);
      }),
    );
  });
});
