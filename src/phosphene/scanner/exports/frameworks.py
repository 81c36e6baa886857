"""What a scan is called in the catalogues of others: attacks, risks and controls that it speaks of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """An item of a catalogue, and what a scan has to do with it."""

    catalogue: str
    key: str
    name: str
    url: str
    why: str


ATLAS = "MITRE ATLAS"
RMF = "NIST AI RMF 1.0"
AML = "NIST AI 100-2"
OWASP = "OWASP Machine Learning Security Top Ten"

ENTRIES = (
    Entry(
        ATLAS,
        "AML.T0018",
        "Manipulate AI Model",
        "https://atlas.mitre.org/techniques/AML.T0018",
        "Formerly Backdoor ML Model. The scan searches for what the sub-technique AML.T0018.000 Poison AI Model leaves "
        "in the weights of an image classifier: a class that one common trigger reaches from all other classes.",
    ),
    Entry(
        ATLAS,
        "AML.T0010.003",
        "AI Supply Chain Compromise: Model",
        "https://atlas.mitre.org/techniques/AML.T0010.003",
        "The scan needs the weights alone, so it can be made of a model that somebody else trained.",
    ),
    Entry(
        ATLAS,
        "AML.T0043.004",
        "Craft Adversarial Data: Insert Backdoor Trigger",
        "https://atlas.mitre.org/techniques/AML.T0043.004",
        "The candidate that a scan shows is what such an attacker would put into an image.",
    ),
    Entry(
        ATLAS,
        "AML.M0008",
        "Validate AI Model",
        "https://atlas.mitre.org/mitigations/AML.M0008",
        "The mitigation that a scan is a part of.",
    ),
    Entry(
        RMF,
        "MEASURE 2.7",
        "AI system security and resilience are evaluated and documented",
        "https://airc.nist.gov/airmf-resources/airmf/5-sec-core/",
        "The record of a scan documents one evaluation: what was tested, how, with which result, against which clean "
        "models, and what was left out.",
    ),
    Entry(
        AML,
        "backdoor poisoning",
        "Backdoor poisoning attack; model poisoning",
        "https://doi.org/10.6028/NIST.AI.100-2e2025",
        "The taxonomy's names for the attacks whose traces are searched; reverse engineering of the trigger is what it "
        "calls the method.",
    ),
    Entry(
        OWASP,
        "ML10:2023",
        "Model Poisoning",
        "https://owasp.org/www-project-machine-learning-security-top-10/docs/ML10_2023-Model_Poisoning",
        "The risk of which a backdoor is the usual form.",
    ),
)
