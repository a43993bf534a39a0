import hashlib, hmac, sys, time

def is_good(secret: str, timestamp: str, signature: str, body: bytes) -> bool:
    """Whether a delivery comes from somebody who knows the secret, and not from long ago."""
    signed = timestamp.encode() + b"." + body
    expected = "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature) and abs(time.time() - int(timestamp)) < 300

if __name__ == "__main__":
    secret, timestamp, signature = sys.argv[1:]
    print("good" if is_good(secret, timestamp, signature, sys.stdin.buffer.read()) else "forged")
