"""Money as whole numbers of a currency's smallest unit: sums are exact, and both databases can do them."""

from decimal import Decimal, InvalidOperation

from corral.handlers.kit.web import WebError

#: ISO 4217: how many decimals; two where nothing is said.
_NONE = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THREE = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def decimals(currency: str) -> int:
    """How many decimals an amount has."""
    return 0 if currency in _NONE else 3 if currency in _THREE else 2


def minor(amount: object, currency: str) -> int:
    """The smallest units of an amount as platforms write it (`"12.50"`).

    Raises:
        WebError: not an amount.
    """
    try:
        value = Decimal(str(amount)).scaleb(decimals(currency))
        return int(value.to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise WebError(f"{amount!r:.40} is not an amount of money") from None


def major(units: int, currency: str) -> float:
    """An amount as people write it, from its smallest units."""
    return float(Decimal(units).scaleb(-decimals(currency)))
