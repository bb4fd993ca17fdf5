"""What servers need and a notebook should not have to write out: certificates.

    cert = labs.certificate("shop.test")       a certificate for that name, and a CA that signed it
    cert.server_context()                      for the side that proves the name
    cert.client_context()                      for the side that checks it: trusts this CA and no other
"""

from labs.serve.certificate import Authority, Certificate, certificate

__all__ = ["Authority", "Certificate", "certificate"]
