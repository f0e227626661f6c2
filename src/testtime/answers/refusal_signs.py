"""Signs by which a text declines to answer, and signs that it answers after all: data of `answers.refusal`.

A sign is a regular expression without nested repetition, so that it is linear in the text, matched without regard to
case after curly quotes are straightened. Its kind is the type of refusal it speaks for; `any` leaves that to the words
around it. English is spelt out; of other languages there are the phrases that assistants decline with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["safety", "capability", "unclear", "any"]


@dataclass(frozen=True)
class Sign:
    """One sign: its name in `refusal_matched_patterns`, the type it speaks for, how much it says by itself."""

    name: str
    kind: Kind
    weight: float
    pattern: str


_ADVERBS = r"(?:(?:really|just|also|simply|currently|unfortunately|respectfully|honestly|therefore|still|yet|even) )*"
_NOT = (
    r"(?:cannot|can't|can not|won't|will not|could not|couldn't|am unable to|'m unable to|was unable to|"
    r"(?:am|'m|was|wasn't|am not|'m not|was not) (?:not )?able to|won't be able to|will not be able to|"
    r"must decline to|have to decline to|refuse to|decline to|do not wish to|don't wish to)"
)
_DO = (
    r"(?:help(?! but)|assist|provide|answer|comply|fulfill?|do (?:it|that|this|so)|support|give (?!up)|share|offer|"
    r"create|write|generate|produce|discuss|engage|participate|tell|explain|advise|describe|draft|continue|complete|"
    r"browse|book|access|open|send|look|see (?!how|why|that)|view|read|retrieve|run|make (?!it)|call|remember|recall|"
    r"proceed|compute|calculate|determine|solve|say|translate|suggest|recommend|find|fetch|check|verify|count|do\b|"
    r"fulfil|process|perform|promise|speculate|draw|play|order|pay|reach|search|know)"
)
_GIVEN = (
    r"(?:given|specified|stated|provided|defined|included|mentioned|known|supplied|indicated|described|told|written)"
)
_TASK = r"(?:problem|question|statement|prompt|task|exercise|text|information provided|request|message|description)"
_TOOLS = r"(?:tools?|functions?|APIs?)"

ENGLISH = (
    Sign("cannot do", "any", 0.8, rf"\b(?:I|we|Number Five)(?: |(?='m)){_ADVERBS}{_NOT} {_ADVERBS}{_DO}"),
    Sign("cannot", "any", 0.6, r"(?:^|[.!?;\n] |\bbut )I (?:cannot|can't|won't|will not)(?=[.!])"),
    Sign("sorry cannot", "any", 0.9, r"\b(?:sorry|apolog\w+|afraid)\b[^.!\n]{0,40}\b(?:can't|cannot|won't|unable|not)\b"),
    Sign("do not do", "safety", 0.7, r"\b(?:I|we) (?:do not|don't) (?:provide|generate|discuss|produce|create|assist)\b"),
    Sign("decline", "safety", 0.9, r"\bI (?:\S+ ){0,3}(?:decline|refuse)(?=[.,;!]|$| to (?!pay|sign)| this| that| your)"),
    Sign("say no", "safety", 0.8, r"\b(?:I|I'll|I'd)(?: \S+){0,3} (?:say no\b|pass on (?:this|that))"),
    Sign("rather not", "safety", 0.8, r"\bI(?:'d| would) (?:rather|prefer) not\b"),
    Sign("not willing", "any", 0.8, r"\bI(?:'m| am) (?:not|un)(?: )?(?:going to|willing|comfortable|prepared to)"),
    Sign("not doing", "safety", 0.8, r"\bnot (?:going to do|doing) (?:it|this|that)\b"),
    Sign("own rules", "safety", 0.9, r"\bagainst (?:my|our) (?:\w+ ){0,2}(?:guidelines|polic\w+|principles|rules|values)"),
    Sign("violates", "safety", 0.8, r"\b(?:would|it) violates? (?:my|our|the|usage) (?:\w+ ){0,2}(?:guidelines|polic\w+)"),
    Sign("a line", "safety", 0.8, r"\bline (?:that )?I (?:won't|will not|do not|don't) cross\b"),
    Sign("irresponsible", "safety", 0.7, r"\b(?:irresponsible|unethical|wrong|inappropriate) (?:of|for) me to\b"),
    Sign("not right", "safety", 0.6, r"\bI (?:don't|do not) feel (?:right|comfortable)\b"),
    Sign("not something", "any", 0.8, r"\b(?:isn't|is not|aren't|are not|not) (?:something|things?) (?:that )?I(?:'m| can| will| am)"),
    Sign("no access", "capability", 0.8, r"\b(?:I|we|Five)(?: \S+)? (?:do not|don't|has no|have no|has NO|lack)(?: have| possess)?(?: \S+){0,2} (?:access|ability|permissions?|means|way|capability|tools?|internet)\b"),
    Sign("no information", "capability", 0.7, r"\bI (?:have no|do not have|don't have|only have)(?: any)? (?:information|data|knowledge|record)\b"),
    Sign("beyond me", "capability", 0.8, r"\b(?:beyond|outside|exceeds) (?:me\b|(?:of )?(?:my|our) (?:capabilit|abilit|scope|power|knowledge|reach))"),
    Sign("cutoff", "capability", 0.7, r"\b(?:knowledge cut-?off|training data (?:ends|end|only|stops|goes))"),
    Sign("as a model", "capability", 0.4, r"\bas an? (?:\w+[- ]){0,3}(?:AI\b|language model|text-based)|\bI'm (?:just |only )?an? (?:\w+[- ]){0,3}(?:AI|language model|text-based)"),
    Sign("no tool", "capability", 0.8, rf"\bno(?: available| suitable)? {_TOOLS}\b(?: \S+){{0,8}} (?:can|available|provided|given|could|allows?|would|that)\b|\b(?:none|neither) of (?:the|my|these|them)(?: available| given)?(?: {_TOOLS})?(?: \S+){{0,3}} (?:can|could|allows?|lets?)\b"),
    Sign("wrong tools", "capability", 0.8, rf"\b{_TOOLS}\b[^.!?\n]{{0,50}}\b(?:aren't|are not|isn't|is not|cannot|can't|do not|don't) (?:designed|able|meant|suited|support|help|let)"),
    Sign("gave up", "capability", 0.7, r"\bI (?:have to |must )?give up\b|\b(?:wasn't|was not|not) able to solve\b"),
    Sign("do not know", "capability", 0.6, r"\bI (?:do not|don't) know(?=[.,;!]| how to| who | what name| the answer)|\bhave no idea\b"),
    Sign("not good enough", "capability", 0.6, r"\bmy \w+ (?:isn't|is not) good enough\b"),
    Sign("clarify", "unclear", 0.8, r"\b(?:(?:could|can|would|will) you|please) (?:please |kindly )?(?:clarify|specify|rephrase|elaborate|be more specific|provide (?!feedback)|supply|resend|tell (?:me|us) (?:what|which|how (?!I can)|the|when)|give me (?:some )?more|check it|confirm (?:which|what))"),
    Sign("what do you mean", "unclear", 0.8, r"\bwh(?:at|ich)(?: \w+){0,3} (?:do|did|are|would) you (?:mean|referring|like me to|want me to)"),
    Sign("not sure what", "unclear", 0.7, r"\bI(?:'m| am) (?:not (?:sure|certain)|having trouble|unsure)(?: \w+){0,2} (?:what|which|understanding)\b"),
    Sign("need to know", "unclear", 0.8, r"\bI(?:'d| would)? (?:\S+ )?need (?:more (?!than)|to know|the|your|additional|further)"),
    Sign("need input", "unclear", 0.4, r"\b(?:more|need) input\b"),
    Sign("too little", "unclear", 0.8, r"\b(?:not|n't)(?: \w+){0,2} (?:enough|sufficient) (?:information|details?|data|context)|\binsufficient (?:information|data|details?|context)|\b(?:lacks|without)(?: \S+){0,2} (?:necessary|required) (?:parameter|information|data)"),
    Sign("not determined", "unclear", 0.8, r"\b(?:cannot|can't|can not|could not|couldn't|not) (?:therefore )?(?:be )?(?:\w+ly )?(?:be )?(?:determined|solved|computed|calculated|answered|found as stated)\b|\bcannot be\b[^.\n]{0,20}\bas stated"),
    Sign("not given", "unclear", 0.7, rf"\b(?:isn't|is not|are not|aren't|not|is never|are never|never|nor is|was not) {_GIVEN}\b|\byou (?:never gave|forgot|haven't|have not|did not|didn't)\b[^.\n]{{0,30}}(?:me|us|give|tell|say|specif)"),
    Sign("does not say", "unclear", 0.7, rf"\b(?:{_TASK}|you) (?:does not|doesn't|never|do not|don't) (?:say|state|tell|specify|give|mention|provide|define|indicate)|\bleaves (?:it|this|that) out|\bnames no \w+"),
    Sign("is missing", "unclear", 0.7, r"\b(?:is|are|seems?(?: to be)?) (?:missing(?=[.,;:!]|$| from)|cut off|incomplete|truncated)\b|\bno (?:formula|attachment|file|equation|value) (?:is|was) (?:included|given|attached|there)|\bsee no (?:attachment|file|image)"),
    Sign("ill-posed", "unclear", 0.8, rf"\bill-posed\b|\b(?:contradicts? (?:itself|each other)|is (?:self-)?contradictory|(?:is|are) inconsistent|cannot both (?:hold|be true))\b|\bno (?:\w+ ){{0,4}}satisf(?:y|ies) (?:the|this|all) (?:{_TASK}|conditions)|\bhas no answer as\b"),
    Sign("unless told", "unclear", 0.7, r"\b(?:unless|until) (?:we are|we're|I am|I'm|you) (?:told|given|supply|provide|tell|say)|\b(?:once|if) you (?:(?:can|could) )?(?:supply|provide|tell me|give me)"),
    Sign("a typo", "unclear", 0.6, rf"\b(?:seems|appears|must) to (?:be|have) (?:a|an) (?:typo|error|mistake) in the {_TASK}"),
)  # fmt: skip
"""Of texts in English."""

OTHERS = (
    # German
    Sign("de cannot", "any", 0.8, r"\b(?:kann|darf|werde|möchte) ich (?:\S+ ){0,6}(?:nicht|keine?n?)\b|\bich (?:kann|darf|werde|möchte) (?:\S+ ){0,6}(?:nicht (?:helfen|beantworten|sagen|geben|tun|weiterhelfen|ausführen|unterstützen|öffnen)|keine? (?:Anleitung|Auskunft|Informationen|Hilfe))|\bkann die (?:Frage|Anfrage) (?:\S+ )?nicht\b"),
    Sign("de not able", "capability", 0.8, r"\bnicht in der Lage\b|\bich habe keinen? (?:Zugriff|Zugang|Möglichkeit|Informationen)"),
    Sign("de refuse", "safety", 0.8, r"\bich (?:muss (?:das |dies )?ablehnen|lehne (?:das |dies )?ab|weigere mich)"),
    Sign("de unclear", "unclear", 0.8, r"\b(?:könnten|können|kannst|könntest) (?:Sie|du)(?: mir)?(?: bitte)? (?:\S+ )?(?:angeben|präzisieren|klarstellen|erläutern|sagen, (?:was|welche))|\bso nicht (?:lösbar|zu lösen)|\b(?:fehlt|fehlen)\b[^.\n]{0,40}(?:Angabe|Länge|Information|Wert)|\b(?:Angabe|Länge|Information|Wert)\w*[^.\n]{0,40}\bfehl(?:t|en)\b|\bnicht genügend (?:Informationen|Angaben)"),
    # French
    Sign("fr cannot", "any", 0.8, r"\bje ne (?:peux|pourrai|puis|suis)(?: malheureusement)? pas (?:vous |t'|te |en mesure|capable|autorisé|aider|répondre|fournir|faire)|\bil m'est(?: donc)? impossible\b"),
    Sign("fr refuse", "safety", 0.8, r"\bje (?:refuse|dois refuser|dois décliner|décline)\b"),
    Sign("fr no access", "capability", 0.8, r"\bje n'ai (?:pas|aucun)(?: d'| )?accès\b"),
    Sign("fr unclear", "unclear", 0.8, r"\b(?:pourriez|pouvez|peux|pourrais)-(?:vous|tu) (?:\S+ )?(?:préciser|clarifier|reformuler|indiquer|me dire (?:quel|ce))|\b(?:impossible de (?:répondre|résoudre|déterminer)|ne précise pas|il manque|pas assez d'informations)"),
    # Spanish
    Sign("es cannot", "any", 0.8, r"\bno (?:puedo|podré|soy capaz de|estoy en condiciones de) (?:ayud|respond|proporcion|decir|dar(?:te|le)? (?:instr|esa|ese|inform)|hacer|cumplir|escribir|acced|abrir|asist)"),
    Sign("es refuse", "safety", 0.8, r"\b(?:debo (?:negarme|rechazar)|me niego)\b"),
    Sign("es no access", "capability", 0.8, r"\bno tengo (?:acceso|la capacidad|información|forma)\b"),
    Sign("es unclear", "unclear", 0.8, r"\b(?:podrías?|puedes?|podría usted) (?:\S+ )?(?:aclarar|especificar|precisar|indicar(?:me)? (?:qué|cuál|a qué))|\bfaltan? (?:información|datos)|\bno (?:se indica|hay (?:suficiente|bastante)s? (?:información|datos))|\bdatos insuficientes"),
    # Italian
    Sign("it cannot", "any", 0.8, r"\bnon (?:posso|potrò|sono in grado di) (?:aiut|rispond|fornir|dir|far|scriv|acced|aprir|assist)"),
    Sign("it refuse", "safety", 0.8, r"\b(?:devo rifiutar|mi rifiuto)"),
    Sign("it no access", "capability", 0.8, r"\bnon ho (?:accesso|la possibilità|informazioni)\b"),
    Sign("it unclear", "unclear", 0.8, r"\b(?:potresti|potrebbe|può|puoi) (?:\S+ )?(?:chiarire|specificare|precisare)|\bnon ci sono abbastanza (?:informazioni|dati)|\b(?:informazioni|dati) insufficienti"),
    # Portuguese
    Sign("pt cannot", "any", 0.8, r"\bnão (?:posso|consigo|poderei) (?:ajud|respond|fornec|dizer|fazer|escrev|acess|abrir|atend)"),
    Sign("pt refuse", "safety", 0.8, r"\b(?:devo recusar|recuso-me|me recuso)\b"),
    Sign("pt no access", "capability", 0.8, r"\bnão tenho (?:acesso|como|informaç)"),
    Sign("pt unclear", "unclear", 0.8, r"\b(?:poderia|pode|podes) (?:\S+ )?(?:esclarecer|especificar|precisar|indicar qual)|\bfaltam? (?:dados|informaç)|\bnão é possível (?:determinar|responder|resolver)|\b(?:dados|informações) insuficientes"),
    # Dutch
    Sign("nl cannot", "any", 0.8, r"\b(?:kan|mag|wil) ik (?:\S+ ){0,4}(?:niet|geen)\b|\bik (?:kan|mag) (?:\S+ ){0,4}niet (?:helpen|beantwoorden|doen|geven)"),
    Sign("nl unclear", "unclear", 0.8, r"\b(?:kunt u|kun je|zou je|zou u) (?:\S+ ){0,2}(?:verduidelijken|specificeren|aangeven (?:welk|wat))|\bonvoldoende (?:informatie|gegevens)"),
    # Russian
    Sign("ru cannot", "any", 0.8, r"\bя (?:к сожалению,? )?не (?:могу|смогу|в состоянии|буду) (?:\S+ )?(?:помо|ответ|предостав|сказ|дать|сдел|узна|выполн|откры|напис)"),
    Sign("ru refuse", "safety", 0.8, r"\b(?:вынужден отказ|я отказываюсь)"),
    Sign("ru no access", "capability", 0.8, r"\bу меня нет (?:доступа|возможности|информации)"),
    Sign("ru unclear", "unclear", 0.8, r"\b(?:уточните|не могли бы вы уточнить|недостаточно (?:данных|информации)|не указан\w*|решить задачу невозможно)"),
    # Japanese
    Sign("ja cannot", "any", 0.8, r"(?:お応え|お答え|お手伝い|ご提供|対応|提供|お教え)(?:する(?:こと(?:は|が))?)?(?:は|が)?(?:でき(?:ません|ない|かねます)|いたしかねます)"),
    Sign("ja no access", "capability", 0.8, r"アクセスでき(?:ない|ません)|アクセスする(?:こと|手段)が"),
    Sign("ja unclear", "unclear", 0.8, r"(?:求める|解く|特定する|答える)ことができ(?:ません|ない)|(?:教えて|明確にして)(?:いただけ|ください)|情報が(?:不足|足り)|条件が(?:不足|足り)"),
    # Chinese
    Sign("zh cannot", "any", 0.8, r"我(?:无法|不能|没办法|不會|不会|無法)(?:为您|为你|向您|向你|替您|替你)?(?:帮助|帮|提供|回答|协助|完成|满足|访问|告诉|打开|协助|生成|幫助)"),
    Sign("zh no access", "capability", 0.8, r"(?:不能|无法|不具备)(?:访问|获取|浏览)(?:互联网|实时|网络|外部)"),
    Sign("zh unclear", "unclear", 0.8, r"(?:条件|信息|数据)不足|无法(?:求解|确定|计算出)|没有(?:给出|说明|提供)|请(?:您|你)?(?:说明|澄清|提供|明确)"),
)  # fmt: skip
"""Of texts in German, French, Spanish, Italian, Portuguese, Dutch, Russian, Japanese and Chinese."""

SIGNS = (*ENGLISH, *OTHERS)

ANSWERS = (
    r"\\boxed\{(?!\s*(?:\\text\w*\{)?\s*(?:not enough|insufficient|cannot|can't|undetermined|unknown|impossible to|no answer))",
    r"\b(?:the |my |final |correct )?answer(?: is|:| would be| must be)?\s*(?:therefore )?[:*$(]*\s*(?:[A-J]\b|-?\d|yes\b|no\b|true\b|false\b|\$|\\)",
    r"\b(?:so|thus|hence|therefore|which gives|that gives|gives|total is|we get|and get|equals|is exact)\b[^.?!\n]{0,80}(?:=|\bis|\bare|:|gives|get)?\s*[-$€]?\d",
    r"[a-zA-Z)\d] ?= ?[-$€]?\(?\d[\d.,/]*(?=[.\s)]|$)",
    r"####\s*-?\$?\d|^(?:A: ?|[A-J][.):]|\([A-J]\))|<<[^<>\n]*=[^<>\n]*>>",
    r"\b(?:assuming|I (?:will |shall |'ll )?assume|I take (?:it|this)|taking it|reading it as|if it means)\b",
    r"\bbut (?:here (?:is|are|'s)|from (?:the|what|your)|in general|most|many|the (?:argument|most|answer|result|derivative|five)|as of|generally|typically|by all)\b",
    r"\b(?:the (?:first|rest|other) is right|table below lists)\b",
    r"(?:antwort (?:lautet|ist)|réponse est|respuesta es|risultato è|risposta è|resposta é|resultado é|ответ:|答えは|答案是|正しい答え|正确答案)",
)
"""Signs that an answer is there after all."""

AROUND = {
    "capability": r"\b(?:access|internet|brows\w+|real-?time|live|tools?|functions?|attachments?|files?|images?|picture|chart|"
    r"phone calls?|e-?mails?|flights?|book|weather|sky|scores?|prices?|run code|permissions?|earlier conversations?|"
    r"conversation|retrieve|look up|orders?|solve|solutions?|allotted|Latin|spreadsheet|hotels?|means to|error)\b|"
    r"Zugriff|Dateien|accès|acceso|accesso|acesso|arquivos|доступ|アクセス|互联网|株価",
    "unclear": r"\b(?:without it|isn't given|not given|is missing|never|unless|specif\w+|supply|provide (?:it|the)|tell me|"
    r"how many|which|contradicts?|single answer|yet|once you|until you)\b|fehlt|manque|falta|manca|书|半径|条件",
}
"""Words around a sign of any kind, by the type of refusal they speak for."""

UNREAD = r"[\u0590-\u05ff\u0600-\u06ff\u0750-\u077f\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u10a0-\u10ff\u1200-\u137f\uac00-\ud7af]"
"""Letters of scripts for which there are no signs."""
